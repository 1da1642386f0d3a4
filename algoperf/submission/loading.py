"""Finds, loads and checks a submission, and fills in what it may leave out.

A submission is a Python file with the five functions of the official API, or with one object `submission` that has
them: `get_batch_size`, `init_optimizer_state`, `update_params`, `data_selection`, and `prepare_for_eval` (optional).
"""

import dataclasses
import importlib.util
import inspect
import operator
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import FRAMEWORKS, Framework, UsageError, WorkloadSpec
from algoperf.benchmark.identity import short_name
from algoperf.submission import mentions, requirements, search
from algoperf.submission.points import SELF_TUNING, MissingHyperparameterError, as_hyperparameters

SUBMISSIONS = Path(__file__).parents[2] / "submissions"
KIT = Path(__file__).parents[1] / "kit"
_REQUIRED = ("get_batch_size", "init_optimizer_state", "update_params", "data_selection")


class SizeError(UsageError):
    """A submission does not say how many examples it takes at once: it may not know the workload."""


@dataclasses.dataclass(frozen=True)
class Submission:
    """The functions of a submission; `takes_train_state` says whose signature has the official `train_state`."""

    path: Path
    get_batch_size: Callable[[str], int]
    init_optimizer_state: Callable[..., Any]
    update_params: Callable[..., Any]
    data_selection: Callable[..., Any]
    prepare_for_eval: Callable[..., Any] | None
    get_eval_batch_size: Callable[[str], int] | None
    takes_train_state: bool

    def batch_size(self, spec: WorkloadSpec) -> int:
        """The global batch size; a variant that the submission does not know has its base workload's.

        At the mini scale the submission's answer is divided by the workload's `batch_divisor`. Raises SizeError where
        it is no size.
        """
        return max(1, self._size("batch size", self._known_batch_size, spec) // spec.batch_divisor)

    def eval_batch_size(self, spec: WorkloadSpec) -> int:
        """How many examples are evaluated at once: what the submission says, where it says anything.

        Raises SizeError where that is no size.
        """
        ask = self.get_eval_batch_size
        return spec.eval_batch_size if ask is None else self._size("evaluation batch size", lambda s: ask(s.name), spec)

    def _known_batch_size(self, spec: WorkloadSpec) -> int:
        try:
            return self.get_batch_size(spec.name)
        except (ValueError, KeyError):
            return self.get_batch_size(spec.base)

    def _size(self, what: str, ask: Callable[[WorkloadSpec], int], spec: WorkloadSpec) -> int:
        try:
            size = operator.index(ask(spec))
        except (UsageError, KeyboardInterrupt):
            raise
        except BaseException as error:
            why = f"{type(error).__name__}: {error}".rstrip(".")
            raise SizeError(f"the submission {self.path} does not say its {what} for {spec.name}: {why}.") from error
        if size < 1:
            raise SizeError(f"the submission {self.path} has the {what} {size} for {spec.name}; it must be at least 1.")
        return size

    def check_point(self, point: search.Point) -> None:
        """Raises UsageError for a hyperparameter whose name is nowhere in the code: nothing can read it.

        Names that the kit and the baselines read are left to pass: search spaces are shared between algorithms.
        """
        folder = self.path.parent.resolve()
        imported = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        own = mentions.names(
            {
                *folder.glob("*.py"),
                *folder.glob("*/*.py"),  # no deeper: a single file may lie in a folder that has all of somebody's code
                *(Path(file) for file in imported if file and Path(file).is_relative_to(folder) and file[-3:] == ".py"),
            }
        )
        if own & {"_asdict", "_fields"}:  # it may look at all that there are
            return
        known = own | mentions.names({*KIT.glob("*.py"), *SUBMISSIONS.rglob("*.py")})
        if unknown := [name for name in point if name not in known]:
            raise UsageError(
                f"the submission {self.path} does not know the hyperparameter {unknown[0]!r}: its code does not have "
                f"the name; correct the search space, or {SELF_TUNING}."
            )

    def begin(self, workload: Any, params: Any, model_state: Any, point: search.Point, rng: Any) -> Any:
        """The optimizer state at the beginning of a trial of one hyperparameter point.

        Raises UsageError where the submission reads a hyperparameter that the point lacks.
        """
        try:
            return self.init_optimizer_state(workload, params, model_state, as_hyperparameters(point), rng)
        except MissingHyperparameterError as error:
            raise UsageError(
                f"the submission {self.path} reads the hyperparameter {error.name!r}, which its point lacks; the point "
                f"has {', '.join(point)}: add {error.name!r} to the search space, or to {SELF_TUNING}."
            ) from error


def find(name_or_path: str, framework: Framework) -> Path:
    """The file of a submission: `submissions/<name>/<framework>.py`, a file, or a folder with `submission.py`.

    Raises UsageError for an unknown name, listing the known ones.
    """
    if framework not in FRAMEWORKS:
        raise UsageError(f"there is no framework {framework!r}; the frameworks are {', '.join(FRAMEWORKS)}.")
    path = Path(name_or_path)
    is_path = path.is_absolute() or path.exists() or len(path.parts) > 1
    candidates = [path, path / f"{framework}.py", path / "submission.py"] if is_path else []
    candidates.append(SUBMISSIONS / name_or_path / f"{framework}.py")
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    known = sorted(file.parent.name for file in SUBMISSIONS.glob(f"*/{framework}.py"))
    raise UsageError(
        f"there is no submission {name_or_path!r} for {framework}; it must be one of {', '.join(known)}, or the path "
        f"of a Python file, or of a folder with {framework}.py or submission.py."
    )


def load(path: Path) -> Submission:
    """Imports a submission's file.

    Raises UsageError where its requirements are not installed, it cannot be imported, or it lacks a function.
    """
    requirements.check(path)
    module = _import(path)
    api = vars(module).get("submission", module)
    functions = {name: function for name, function in inspect.getmembers(api, callable) if not name.startswith("_")}
    if missing := [name for name in _REQUIRED if name not in functions]:
        raise UsageError(f"the submission {path} has no {missing[0]}; it needs {', '.join(_REQUIRED)}.")
    return Submission(
        path=path,
        **{name: functions[name] for name in _REQUIRED},
        prepare_for_eval=functions.get("prepare_for_eval"),
        get_eval_batch_size=functions.get("get_eval_batch_size"),
        takes_train_state="train_state" in inspect.signature(functions["update_params"]).parameters,
    )


def _import(path: Path) -> Any:
    """The file as a module of its own name; the modules beside it can be imported by it."""
    name = f"algoperf_submission_{short_name(str(path))}_{path.stem}"
    module_spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module
    sys.path.append(str(path.parent.resolve()))  # last, or else a submission's jax.py would stand for JAX
    try:
        module_spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the submission {path} imports {error.name!r}, which is neither installed nor beside it; install the "
            f"package that has it, and name it in {path.parent / requirements.FILE}."
        ) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever it is: to leave by `sys.exit` is none of an import's business
        raise UsageError(f"the submission {path} cannot be imported: {type(error).__name__}: {error}.") from error
    return module
