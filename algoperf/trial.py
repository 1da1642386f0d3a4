"""What one trial needs, checked before anything is written, and whether it is finished already."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from algoperf import log, submission
from algoperf.backends import Backend, load_backend
from algoperf.plan import Trial, seed
from algoperf.protocol import load_protocol
from algoperf.spec import UsageError, WorkloadSpec
from algoperf.workload import Workload, load_workload
from workloads.datasets.prepare import open_source


@dataclasses.dataclass(frozen=True)
class Setup:
    """All that a trial needs, checked before anything is written. point: its hyperparameters; seed: see `plan.seed`."""

    trial: Trial
    out: Path
    workload: Workload
    backend: Backend
    submission: submission.Submission
    point: dict[str, Any]
    seed: int
    batch_size: int
    eval_batch_size: int
    max_runtime: float
    max_steps: int | None

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint must have in common with the trial that goes on from it."""
        return {
            "workload": self.trial.workload,
            "framework": self.trial.framework,
            "submission": self.trial.label,
            "hyperparameters": self.point,
            "seed": self.seed,
        }


def set_up(trial: Trial, out: Path, data_dir: Path, max_steps: int | None = None) -> Setup:
    """Checks and loads a trial's parts. Raises UsageError for whatever a person got wrong; writes nothing."""
    protocol = load_protocol(trial.protocol)
    path = submission.find(trial.submission, trial.framework)
    points = submission.hyperparameter_points(path, protocol, trial.ruleset)
    if not 1 <= trial.trial <= len(points):
        raise UsageError(f"there is no trial {trial.trial} of {trial.label}; its trials are 1 to {len(points)}.")
    if not 0 <= trial.study < protocol.studies:
        raise UsageError(
            f"there is no study {trial.study} in {protocol.name}; its studies are 0 to {protocol.studies - 1}."
        )
    workload = load_workload(trial.workload, trial.framework, protocol.scale, data_dir, protocol=protocol.name)
    open_source(workload.spec, "train", data_dir)
    backend = load_backend(trial.framework)
    loaded = submission.load(path)
    return Setup(
        trial=trial,
        out=out,
        workload=workload,
        backend=backend,
        submission=loaded,
        point=points[trial.trial - 1],
        seed=seed(protocol.name, trial.label, trial.workload, trial.study, trial.trial),
        batch_size=_divisible("batch size", loaded.batch_size(workload.spec), backend),
        eval_batch_size=_divisible("evaluation batch size", _eval_batch_size(loaded, workload.spec), backend),
        max_runtime=protocol.max_runtime(workload.spec, trial.ruleset),
        max_steps=max_steps,
    )


def _eval_batch_size(loaded: submission.Submission, spec: WorkloadSpec) -> int:
    return spec.eval_batch_size if loaded.get_eval_batch_size is None else loaded.get_eval_batch_size(spec.name)


def _divisible(what: str, size: int, backend: Backend) -> int:
    if size % backend.num_devices:
        raise UsageError(
            f"the {what} {size} of the submission does not divide over {backend.num_devices} devices; "
            f"choose a multiple of {backend.num_devices}."
        )
    return size


def finished_result(trial: Trial, out: Path) -> dict[str, Any] | None:
    """The result of a trial that has ended, None for one that has not. Raises UsageError for another trial's result."""
    try:
        result = json.loads((out / log.RESULT).read_text())
    except FileNotFoundError:
        return None
    mine = {**dataclasses.asdict(trial), "submission": result["submission"]}  # a name and a path may be the same
    if different := [name for name, value in mine.items() if result[name] != value]:
        raise UsageError(f"{out} holds the result of another trial (its {different[0]} differs); give another folder.")
    return result
