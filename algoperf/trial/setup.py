"""What one trial needs, checked before anything is written."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import psutil

from algoperf.backends import Backend, load_backend
from algoperf.benchmark.facts import NOTHING_ASKED, FrameworkSettings, UsageError
from algoperf.benchmark.identity import Trial
from algoperf.benchmark.protocol import Search
from algoperf.benchmark.workload import Workload, make_workload
from algoperf.machine import cluster, hardware
from algoperf.racing.race import Race
from algoperf.referee.compiled import CompileCaches
from algoperf.referee.referee import Referee
from algoperf.submission import loading
from algoperf.submission.content import content
from algoperf.trial.definition import Definition, Rehearsal, define, spec_of
from workloads.datasets.prepare import open_source


@dataclasses.dataclass(frozen=True)
class Setup:
    """All that a trial needs, checked before anything is written.

    definition: what the trial computes; point, seed, max_runtime, max_steps and evaluated_every follow from it.
    accelerator: the name that a config gives to the hardware; what it turned out to be is `hardware`. begun: when the
    trial's process or job began, in seconds since the epoch. race: the one that it is in, None without.
    """

    trial: Trial
    out: Path
    workload: Workload
    backend: Backend
    compile_caches: CompileCaches
    referee: Referee
    submission: loading.Submission
    definition: Definition
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
    race: Race | None = None


def set_up(
    trial: Trial,
    out: Path,
    data_dir: Path,
    max_steps: int | None = None,
    accelerator: str = cluster.LOCAL,
    begun: float | None = None,
    search_space: Path | None = None,
    search: Search | None = None,
    strict_requirements: bool = False,
    rehearsal: Rehearsal | None = None,
    race: Race | None = None,
    settings: FrameworkSettings = NOTHING_ASKED,
) -> Setup:
    """Checks and loads a trial's parts; writes nothing.

    begun, race: as in Setup; this process's begin where None. search_space: a file, None for the one beside the
    submission. search: as in `define`. strict_requirements: whether other versions than the submission requires are
    refused. rehearsal: what of the trial is walked through, where it is no trial but that. settings: what is asked of
    the framework.

    Raises UsageError for whatever a person got wrong, and InfrastructureError where the hardware is not the accelerator
    that was asked for.
    """
    wanted = cluster.asked_for(accelerator)
    definition = define(trial, max_steps, wanted, search_space, search, settings)
    spec = settings.applied(spec_of(trial))
    if rehearsal is not None:
        definition, spec = rehearsal.shortened(definition), rehearsal.reduced(spec)
    path = loading.find(trial.submission, trial.framework)
    compile_caches = CompileCaches()
    compile_caches.announce()
    workload = make_workload(spec, trial.framework, data_dir, trial.protocol)
    open_source(workload.spec, "train", data_dir)
    backend = load_backend(trial.framework)
    backend.configure(workload.spec)
    compile_caches.use(backend)
    found = backend.accelerator()
    if (sentence := hardware.overlooked(found, trial.framework)) and backend.shard[0] == 0:
        print(sentence, file=sys.stderr, flush=True)
    if wanted is not None:
        hardware.check(found, accelerator, wanted)
    referee = Referee(backend, workload, path.parent, compile_caches)
    with referee.free("import"):
        loaded = loading.load(path, strict_requirements)
    if content(path) != definition.content:
        raise UsageError(f"the submission {path} was changed while it was loaded; give the same command again.")
    for sentence in loaded.unmet:
        referee.flag("requirements", sentence)
    referee.look_through()
    with referee.free("get_batch_size"):
        batch_size = loaded.batch_size(workload.spec)
    with referee.free("get_eval_batch_size"):
        asked = loaded.eval_batch_size(workload.spec)
    if rehearsal is not None and rehearsal.batch_size is not None:
        batch_size = asked = rehearsal.batch_size
    loaded.check_point(definition.point)
    return Setup(
        trial=trial,
        out=out,
        workload=workload,
        backend=backend,
        compile_caches=compile_caches,
        referee=referee,
        submission=loaded,
        definition=definition,
        point=definition.point,
        seed=definition.seed,
        batch_size=_divisible("batch size", batch_size, backend),
        eval_batch_size=_divisible("evaluation batch size", asked, backend),
        max_runtime=definition.max_runtime,
        max_steps=definition.last_step,
        evaluated_every=definition.evaluated_every,
        accelerator=accelerator,
        hardware=found,
        begun=psutil.Process().create_time() if begun is None else begun,
        race=race,
    )


def _divisible(what: str, size: int, backend: Backend) -> int:
    if size % backend.num_devices:
        raise UsageError(
            f"the {what} {size} of the submission does not divide over {backend.num_devices} devices; "
            f"choose a multiple of {backend.num_devices}."
        )
    return size


def note_changed_files(setup: Setup) -> None:
    """A begun session goes on with the code that it loaded; but what a submission imports late, it reads late."""
    try:
        is_changed = content(setup.submission.path) != setup.definition.content
    except UsageError:  # gone, or not to be read any more
        is_changed = True
    if is_changed:
        setup.referee.flag("content", "the submission's files were changed while the trial ran.")
