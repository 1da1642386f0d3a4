"""The modules of the official packages, under both their names: what stands for each here, or what it is for.

`algoperf` was called `algorithmic_efficiency` before v0.6. Of its modules, submissions need those that are ours, too;
some others have stand-ins in `official_modules/`, and of a workload's modules, its class.
"""

import builtins
import functools
import importlib
import re
from types import ModuleType
from typing import Any

import algoperf
from algoperf.benchmark.workload import Workload

_NAMES = ("algoperf", "algorithmic_efficiency")
_STAND_INS = {
    "algoperf.sharding_utils": "algoperf.jax_sharding_utils",
    "algoperf.data_utils": "algoperf.imports.official_modules.data_utils",
    "algoperf.logger_utils": "algoperf.imports.official_modules.logger_utils",
    "algoperf.random_utils": "algoperf.imports.official_modules.random_utils",
    "algoperf.workloads.workloads": "algoperf.imports.official_modules.workloads",
}
_WORKLOADS = "algoperf.workloads"
_PURPOSES = {
    "algoperf.checkpoint_utils": "it saves trials, which is done for every submission here",
    "algoperf.data_utils": "it pads, divides and repeats batches, as the input queue does here",
    "algoperf.halton": "it draws hyperparameter points, which is done before a submission is asked",
    "algoperf.init_utils": "it initializes the reference's PyTorch models",
    "algoperf.interop_utils": "it hands arrays from one framework to the other",
    "algoperf.jax_sharding_utils": "it says how arrays lie on devices",
    "algoperf.logger_utils": "it writes measurements, as workload.metrics_logger does here",
    "algoperf.param_utils": "it guesses the parameters' types, which are in workload.model_params_types",
    "algoperf.profiler": "it times the official loop",
    "algoperf.pytorch_utils": "it joins the processes of a PyTorch trial",
    "algoperf.random_utils": "it derives keys, which a submission gets as `rng`",
    "algoperf.spec": "it has the types of the API",
    _WORKLOADS: "it has the reference's models and data; a submission gets those of its workload as `workload`",
}


class OfficialNameError(ImportError):
    """A submission wants something of the official packages that is not here; its text says what it is for."""


def is_one(name: str) -> bool:
    return name.partition(".")[0] in _NAMES


def module(name: str, wanted: tuple[str, ...], stand_ins: dict[str, str]) -> ModuleType:
    """What an import of an official module gives: the module where names in it are `wanted`, else the package.

    stand_ins: gets what stands for it. Raises OfficialNameError where nothing does.
    """
    package = _Package(stand_ins)
    head, _, rest = name.partition(".")
    if head != "algoperf":
        stand_ins[head] = "algoperf"
    if not rest:
        return package
    found = _module(f"algoperf.{rest}", wanted, stand_ins)
    for part in wanted:
        if part != "*" and not hasattr(found, part):
            raise _not_here(f"algoperf.{rest}", part)
    return found if wanted else package


def _module(name: str, wanted: tuple[str, ...], stand_ins: dict[str, str]) -> ModuleType:
    if name in _STAND_INS:
        stand_ins[name] = _STAND_INS[name]
        return importlib.import_module(_STAND_INS[name])
    if name == _WORKLOADS or name.startswith(f"{_WORKLOADS}."):
        stand_ins[name] = "its workload's class"
        return _OfWorkload(name, stand_ins)
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise _not_here(name, None) from error
        raise
    return builtins.__import__(name, fromlist=wanted or ("__name__",))


def _not_here(module_name: str, name: str | None) -> OfficialNameError:
    purpose = next((why for known, why in _PURPOSES.items() if f"{module_name}.".startswith(f"{known}.")), None)
    what = f"{name!r} of the official module {module_name}" if name else f"the official module {module_name}"
    return OfficialNameError(f"it wants {what}, which is not here" + (f": {purpose}" if purpose else ""))


class _Package(ModuleType):
    """`algoperf` as a submission sees it: ours, and what stands for the modules that only the official one has."""

    def __init__(self, stand_ins: dict[str, str]):
        super().__init__("algoperf")
        vars(self)["_stand_ins"] = stand_ins

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(algoperf, name) if name in algoperf.__all__ else _module(f"algoperf.{name}", (), self._stand_ins)


class _OfWorkload(ModuleType):
    """A module of an official workload. Of what is in it, the workload's class is here, to annotate and to ask with."""

    def __init__(self, name: str, stand_ins: dict[str, str]):
        super().__init__(name)
        vars(self)["_stand_ins"] = stand_ins

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self.__name__ == _WORKLOADS or re.fullmatch(r"workload|\w+_(jax|pytorch)", name):
            return _module(f"{self.__name__}.{name}", (), self._stand_ins)
        if re.fullmatch(r"[A-Z]\w*Workload", name):
            return _workload_class(name, self.__name__.split(".")[2])
        raise _not_here(self.__name__, name)


@functools.cache
def _workload_class(name: str, base: str) -> type:
    return _WorkloadClass(name, (), {"base": base, "__module__": f"{_WORKLOADS}.{base}"})


class _WorkloadClass(type):
    """A class whose instances are our workload of that name and its variants."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Workload) and instance.spec.base == cls.base
