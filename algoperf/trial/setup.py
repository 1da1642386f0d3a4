"""What one trial needs, checked before anything is written, and whether it is finished already."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import psutil

from algoperf.backends import Backend, load_backend
from algoperf.benchmark.facts import Budget, UsageError, WorkloadSpec, replace
from algoperf.benchmark.identity import Trial, seed
from algoperf.benchmark.protocol import TARGET_SETTING, Protocol, Ruleset, load_protocol
from algoperf.benchmark.registry import load_spec
from algoperf.benchmark.workload import Workload, make_workload
from algoperf.machine import cluster, hardware
from algoperf.submission import loading
from algoperf.submission.points import hyperparameter_points
from algoperf.trial import journal
from algoperf.trial.referee import Referee
from workloads.datasets.prepare import open_source


@dataclasses.dataclass(frozen=True)
class Setup:
    """All that a trial needs, checked before anything is written.

    point: its hyperparameters. seed: see `plan.seed`. evaluated_every: steps; None: as many seconds as the workload
    says. accelerator: the name that a config gives to the hardware; what
    it turned out to be is `hardware`. begun: when the trial's process or job began, in seconds since the epoch.
    """

    trial: Trial
    out: Path
    workload: Workload
    backend: Backend
    referee: Referee
    submission: loading.Submission
    point: dict[str, Any]
    seed: int
    batch_size: int
    eval_batch_size: int
    max_runtime: float
    max_steps: int | None
    evaluated_every: int | None
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
    """The spec of a trial's workload at the scale of its protocol.

    One that sets the target has none that it could reach, and a step hint, which schedules go by, that is where it
    ends.
    """
    protocol = load_protocol(trial.protocol)
    spec = load_spec(trial.workload, protocol.scale)
    if trial.ruleset != TARGET_SETTING:
        return spec
    budget = Budget(protocol.max_runtime(spec, trial.ruleset), protocol.target_setting_steps(spec))
    beyond = -math.inf if spec.target.goal == "min" else math.inf
    test = None if spec.target.test is None else beyond
    return replace(spec, {"target": {"validation": beyond, "test": test}, "budget": {protocol.name: budget}})


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
    path = loading.find(trial.submission, trial.framework)
    points = hyperparameter_points(path, protocol, trial.ruleset, trial.workload)
    if not 1 <= trial.trial <= len(points):
        raise UsageError(f"there is no trial {trial.trial} of {trial.label}; its trials are 1 to {len(points)}.")
    if not 0 <= trial.study < (studies := protocol.num_studies(trial.ruleset)):
        raise UsageError(f"there is no study {trial.study} in {protocol.name}; its studies are 0 to {studies - 1}.")
    workload = make_workload(spec_of(trial), trial.framework, data_dir, protocol.name)
    open_source(workload.spec, "train", data_dir)
    backend = load_backend(trial.framework)
    found = backend.accelerator()
    if accelerator != cluster.LOCAL:
        hardware.check(found, accelerator, cluster.load().accelerator(accelerator))
    referee = Referee(backend, workload)
    with referee.listening():
        loaded = loading.load(path)
    loaded.check_point(points[trial.trial - 1])
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
        **_end(protocol, load_spec(trial.workload, protocol.scale), trial.ruleset, max_steps),
        accelerator=accelerator,
        hardware=found,
        begun=psutil.Process().create_time() if begun is None else begun,
    )


def _end(protocol: Protocol, spec: WorkloadSpec, ruleset: Ruleset, max_steps: int | None) -> dict[str, Any]:
    """When a trial ends and is evaluated: by charged time, or by steps, as the protocol has it.

    One that sets the target goes by its steps alone, so that a slow machine, or a busy one, makes the same target.
    max_steps: fewer, which a person asked for.
    """
    limits = [limit for limit in (protocol.max_steps(spec, ruleset), max_steps) if limit is not None]
    return {
        "max_runtime": math.inf if ruleset == TARGET_SETTING else protocol.max_runtime(spec, ruleset),
        "max_steps": min(limits, default=None),
        "evaluated_every": protocol.evaluated_every(spec, ruleset),
    }


def eval_batch_size(loaded: loading.Submission, spec: WorkloadSpec) -> int:
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
