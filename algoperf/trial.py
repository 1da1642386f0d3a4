"""What one trial needs, checked before anything is written, and whether it is finished already."""

import dataclasses
from pathlib import Path
from typing import Any

import psutil

from algoperf import cluster, hardware, journal, submission
from algoperf.backends import Backend, load_backend
from algoperf.plan import Trial, seed
from algoperf.protocol import load_protocol
from algoperf.registry import load_spec
from algoperf.rules import Referee
from algoperf.spec import UsageError, WorkloadSpec
from algoperf.workload import Workload, load_workload
from workloads.datasets.prepare import open_source


@dataclasses.dataclass(frozen=True)
class Setup:
    """All that a trial needs, checked before anything is written.

    point: its hyperparameters. seed: see `plan.seed`. accelerator: the name that a config gives to the hardware; what
    it turned out to be is `hardware`. begun: when the trial's process or job began, in seconds since the epoch.
    """

    trial: Trial
    out: Path
    workload: Workload
    backend: Backend
    referee: Referee
    submission: submission.Submission
    point: dict[str, Any]
    seed: int
    batch_size: int
    eval_batch_size: int
    max_runtime: float
    max_steps: int | None
    accelerator: str
    hardware: dict[str, Any]
    begun: float

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint must have in common with the trial that goes on from it."""
        return {
            "workload": self.trial.workload,
            "framework": self.trial.framework,
            "submission": self.trial.label,
            "hyperparameters": self.point,
            "seed": self.seed,
            "num_devices": self.backend.num_devices,
        }


def spec_of(trial: Trial) -> WorkloadSpec:
    """The spec of a trial's workload at the scale of its protocol."""
    return load_spec(trial.workload, load_protocol(trial.protocol).scale)


def set_up(
    trial: Trial,
    out: Path,
    data_dir: Path,
    max_steps: int | None = None,
    accelerator: str = cluster.LOCAL,
    begun: float | None = None,
) -> Setup:
    """Checks and loads a trial's parts; writes nothing.

    begun: as in Setup; this process's begin where None. Raises UsageError for whatever a person got wrong, and
    InfrastructureError where the hardware is not the accelerator that was asked for.
    """
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
    found = backend.accelerator()
    if accelerator != cluster.LOCAL:
        hardware.check(found, accelerator, cluster.load().accelerator(accelerator))
    referee = Referee(backend, workload)
    with referee.listening():
        loaded = submission.load(path)
    return Setup(
        trial=trial,
        out=out,
        workload=workload,
        backend=backend,
        referee=referee,
        submission=loaded,
        point=points[trial.trial - 1],
        seed=seed(protocol.name, trial.label, trial.workload, trial.study, trial.trial),
        batch_size=_divisible("batch size", loaded.batch_size(workload.spec), backend),
        eval_batch_size=_divisible("evaluation batch size", eval_batch_size(loaded, workload.spec), backend),
        max_runtime=protocol.max_runtime(workload.spec, trial.ruleset),
        max_steps=max_steps,
        accelerator=accelerator,
        hardware=found,
        begun=psutil.Process().create_time() if begun is None else begun,
    )


def eval_batch_size(loaded: submission.Submission, spec: WorkloadSpec) -> int:
    """How many examples are evaluated at once: what the submission says, where it says anything."""
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
    result = journal.read_result(out)
    if result is None:
        return None
    mine = {**dataclasses.asdict(trial), "submission": result["submission"]}  # a name and a path may be the same
    if different := [name for name, value in mine.items() if result[name] != value]:
        raise UsageError(f"{out} holds the result of another trial (its {different[0]} differs); give another folder.")
    return result
