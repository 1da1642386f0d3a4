"""Name -> WorkloadSpec, found by folder convention: adding a workload is adding a folder under `workloads/`.

`workloads/<name>/spec.py` holds WORKLOAD (the full scale), VARIANTS (name -> overrides) and MINI (overrides that make
the small scale). A variant is called `<workload>_<variant>`.
"""

import functools
import importlib.util
import pkgutil
from types import ModuleType

import workloads
from algoperf.benchmark.facts import SCALES, Scale, UsageError, WorkloadSpec, replace


@functools.cache
def _spec_modules() -> dict[str, ModuleType]:
    """Every workload folder's `spec` module, by the workload's name."""
    found = {}
    for package in pkgutil.iter_modules(workloads.__path__):
        if package.ispkg and importlib.util.find_spec(f"workloads.{package.name}.spec"):
            found[package.name] = importlib.import_module(f"workloads.{package.name}.spec")
    return found


def base_workloads() -> list[str]:
    """The names of all workloads, without their variants, sorted."""
    return sorted(_spec_modules())


def variants(base: str) -> list[str]:
    """The full names of a workload's variants, in the order of its spec."""
    return [f"{base}_{variant}" for variant in _spec_modules()[base].VARIANTS]


def workload_names() -> list[str]:
    """Every workload followed by its variants."""
    return [name for base in base_workloads() for name in (base, *variants(base))]


@functools.cache
def base_of(name: str) -> str:
    """The workload that `name` is, or is a variant of. Raises UsageError for an unknown name."""
    for base in base_workloads():
        if name == base or name in variants(base):
            return base
    raise UsageError(f"there is no workload {name!r}; the workloads are {', '.join(workload_names())}.")


def has_scale(name: str, scale: Scale) -> bool:
    """Whether a workload or variant has been made small yet; all have the full scale."""
    return scale == "full" or "MINI" in vars(_spec_modules()[base_of(name)])


def load_spec(name: str, scale: Scale = "full") -> WorkloadSpec:
    """The spec of a workload or variant at a scale. Raises UsageError for an unknown name or scale.

    At the mini scale a variant changes the mini model; the targets that it was given belong to the full scale, so the
    mini target of its workload stays.
    """
    if scale not in SCALES:
        raise UsageError(f"there is no scale {scale!r}; the scales are {', '.join(SCALES)}.")
    base = base_of(name)
    module = _spec_modules()[base]
    spec = module.WORKLOAD
    overrides = module.VARIANTS.get(name.removeprefix(f"{base}_"), {}) if name != base else {}
    if scale == "mini":
        if not has_scale(name, scale):
            with_mini = ", ".join(filter(lambda base: has_scale(base, "mini"), base_workloads()))
            raise UsageError(f"{name} has no mini scale yet; {with_mini} have.")
        spec = replace(spec, {**module.MINI, "scale": "mini"})
        overrides = {key: value for key, value in overrides.items() if key != "target"}
    spec = replace(spec, overrides)
    return replace(spec, {"name": name, "base": base, "variant": name.removeprefix(base).removeprefix("_")})
