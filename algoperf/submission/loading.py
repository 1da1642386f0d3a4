"""Finds, loads and checks a submission, and fills in what it may leave out.

A submission is a Python file with the five functions of the official API, or with one object `submission` that has
them: `get_batch_size`, `init_optimizer_state`, `update_params`, `data_selection`, and `prepare_for_eval` (optional).
"""

import dataclasses
import importlib
import inspect
import operator
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import FRAMEWORKS, Framework, UsageError, WorkloadSpec
from algoperf.imports import homes, packages
from algoperf.submission import info, mentions, requirements, search
from algoperf.submission.points import SELF_TUNING, MissingHyperparameterError, as_hyperparameters, read_of_none

SUBMISSIONS = Path(__file__).parents[2] / "submissions"
KIT = Path(__file__).parents[1] / "kit"
# What modules that submissions import are called where they are installed from, where that is another name.
_PACKAGES = {"absl": "absl-py", "haiku": "dm-haiku", "sklearn": "scikit-learn", "tree": "dm-tree", "yaml": "pyyaml"}
_REQUIRED = ("get_batch_size", "init_optimizer_state", "update_params", "data_selection")


class SizeError(UsageError):
    """A submission does not say how many examples it takes at once: it may not know the workload."""


@dataclasses.dataclass(frozen=True)
class Submission:
    """The functions of a submission; `takes_train_state` says whose signature has the official `train_state`.

    home: what the imports in its files have come to. unmet: a sentence for each of its requirements that has another
    version here.
    """

    path: Path
    home: homes.Home
    unmet: tuple[str, ...]
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
        folder = self.home.folder
        imported = (getattr(sys.modules.get(name), "__file__", None) for name in self.home.modules)
        own = mentions.names(
            {
                *folder.glob("*.py"),
                *folder.glob("*/*.py"),  # no deeper: a single file may lie in a folder that has all of somebody's code
                *(Path(file) for file in imported if file and file.endswith(".py")),
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
        except AttributeError as error:
            if point or (name := read_of_none(error)) is None:
                raise
            raise UsageError(without_hyperparameters(self.path, name)) from error


def without_hyperparameters(path: Path, name: str) -> str:
    """What to say where a submission reads the hyperparameter `name` and has none."""
    return (
        f"the submission {path} reads the hyperparameter {name!r}, but it has neither a search space nor "
        f"{SELF_TUNING}: name a search space by --search-space, or by search_space in a config, and tune externally."
    )


def describe(name_or_path: str) -> info.Info:
    """What a submission's `submission_info.yml` says; nothing where there is none, or no submission of that name."""
    path = Path(name_or_path)
    return info.read(path if path.exists() else SUBMISSIONS / name_or_path)


def find(name_or_path: str, framework: Framework) -> Path:
    """The file of a submission: `submissions/<name>/<framework>.py`, a file, or a folder with `submission.py`.

    Raises UsageError for an unknown name, listing the known ones, and for a submission in another framework.
    """
    if framework not in FRAMEWORKS:
        raise UsageError(f"there is no framework {framework!r}; the frameworks are {', '.join(FRAMEWORKS)}.")
    path = Path(name_or_path)
    is_path = path.is_absolute() or path.exists() or len(path.parts) > 1
    of_folder = (f"{framework}.py", f"{framework}/submission.py", "submission.py")
    candidates = [path, *(path / name for name in of_folder)] if is_path else []
    candidates.append(SUBMISSIONS / name_or_path / f"{framework}.py")
    for candidate in candidates:
        if candidate.is_file():
            said = info.read(candidate)
            if candidate.name == "submission.py" and said.framework not in (None, framework):
                raise UsageError(f"{candidate} is in {said.framework}, as {said.file} says, and not in {framework}.")
            return candidate
    known = sorted(file.parent.name for file in SUBMISSIONS.glob(f"*/{framework}.py"))
    raise UsageError(
        f"there is no submission {name_or_path!r} for {framework}; it must be one of {', '.join(known)}, or the path "
        f"of a Python file, or of a folder with {framework}.py or submission.py."
    )


def load(path: Path, strict_requirements: bool = False) -> Submission:
    """Imports a submission's file.

    strict_requirements: whether another version of a package than it requires is refused. Raises UsageError where its
    requirements are not installed, it cannot be imported, or it lacks a function.
    """
    unmet = requirements.check(path, strict_requirements)
    module, home = _import(path)
    api = vars(module).get("submission", module)
    functions = {name: function for name, function in inspect.getmembers(api, callable) if not name.startswith("_")}
    if missing := [name for name in _REQUIRED if name not in functions]:
        raise UsageError(f"the submission {path} has no {missing[0]}; it needs {', '.join(_REQUIRED)}.")
    return Submission(
        path=path,
        home=home,
        unmet=unmet,
        **{name: functions[name] for name in _REQUIRED},
        prepare_for_eval=functions.get("prepare_for_eval"),
        get_eval_batch_size=functions.get("get_eval_batch_size"),
        takes_train_state="train_state" in inspect.signature(functions["update_params"]).parameters,
    )


def _import(path: Path) -> tuple[Any, homes.Home]:
    """The file as a module: see `packages.py`."""
    file = Path(os.path.abspath(path))
    try:
        with homes.loading(file) as home:
            return importlib.import_module(packages.module_name(file.with_suffix(""))), home
    except ModuleNotFoundError as error:
        raise UsageError(f"the submission {path} imports {_missing(error, path)}.") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever it is: to leave by `sys.exit` is none of an import's business
        what = str(error) if isinstance(error, homes.SENTENCES) else f"{type(error).__name__}: {error}"
        raise UsageError(f"the submission {path} cannot be imported: {what + _hint(error, file)}.") from error


def _missing(error: ModuleNotFoundError, path: Path) -> str:
    """Which module is not there, and what to do."""
    if isinstance(error, homes.LayoutError):
        return str(error)
    if error.name.startswith(packages.TOP):
        location = packages.location_of(error.name)
        return f"{location.name!r}, but there is no {location}.py, nor a folder of that name"
    package = _PACKAGES.get(error.name.partition(".")[0], error.name.partition(".")[0])
    return (
        f"{error.name!r}, which is neither installed nor beside it; install the package that has it, perhaps by "
        f"`python -m pip install {package}`, and name it in {path.parent / requirements.FILE}"
    )


def _hint(error: BaseException, file: Path) -> str:
    """What a person should know who has called a file of their own like a module that no file can stand for."""
    name = getattr(error, "name", None) or ""
    if name in homes.NEVER_ITS_OWN and packages.is_module(file.parent / name):
        return f" ({name} is what everybody has by that name; the one beside the submission is `from . import {name}`)"
    return ""
