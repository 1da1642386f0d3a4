"""A submission checked on a few tiny steps of every workload at the mini scale; nothing is written.

Each workload has a process of its own, which imports the submission anew: what goes wrong in one, up to the end of the
process, stops no other, and its memory is its own.
"""

import contextlib
import copy
import dataclasses
import itertools
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil

from algoperf.benchmark.facts import Framework, SubmissionError, UsageError
from algoperf.benchmark.identity import make_trial
from algoperf.benchmark.protocol import Ruleset, load_protocol
from algoperf.benchmark.registry import load_spec
from algoperf.records import checkpoint
from algoperf.records.official_files import MetricsLogger
from algoperf.records.scratch import Scratch
from algoperf.referee.referee import RuleError
from algoperf.submission import info, loading
from algoperf.submission.loading import SizeError
from algoperf.submission.points import hyperparameter_points, read_of_none
from algoperf.trial import session
from algoperf.trial.clock import Clock
from algoperf.trial.setup import Setup, set_up
from algoperf.trial.train import Run, State, prepare_for_evaluation, submission_code, train_step, tree_of
from workloads.datasets import processors
from workloads.datasets.prepare import open_source

_PROTOCOL = "mini"
_EXAMPLES_PER_DEVICE = 4
# How far a step that is repeated from a restored state may lie from the first time, relative to the parameters'
# size: sums on a GPU come in any order.
_REPEATED = 1e-3

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Row:
    """What came out for one workload. first_step, second_step: seconds; memory: bytes.

    outcome: missing where the workload's data are not there. sentences: what is wrong, or what a person should know.
    memory_of: device (the most that its devices held) or process (by how much the process has grown at most).
    """

    workload: str
    outcome: Literal["ok", "wrong", "missing"]
    sentences: tuple[str, ...] = ()
    first_step: float | None = None
    second_step: float | None = None
    memory: int | None = None
    memory_of: Literal["device", "process"] = "process"


def check(
    name: str,
    framework: Framework,
    workloads: list[str],
    data_dir: Path,
    say: Say,
    search_space: Path | None = None,
    strict_requirements: bool = False,
) -> Iterator[Row]:
    """A row for each workload, as they come.

    say: told what is being done. search_space, strict_requirements: as in `set_up`.

    Raises UsageError for an unknown submission, framework or workload, and for a submission that cannot be loaded.
    """
    path = loading.find(name, framework)
    specs = [load_spec(workload, "mini") for workload in workloads or load_protocol(_PROTOCOL).workloads]
    for spec in specs:
        ruleset = _ruleset(path, spec.name, search_space)
        try:
            open_source(spec, "train", data_dir)
        except UsageError as error:
            yield Row(spec.name, "missing", (str(error),))
            continue
        yield _in_a_process((name, framework, spec.name, ruleset, data_dir), (search_space, strict_requirements), say)


def _ruleset(path: Path, workload: str, search_space: Path | None) -> Ruleset:
    """What its `submission_info.yml` says; else external tuning where the submission has a point for it, or is to have
    one, else self-tuning.
    """
    if (said := info.read(path).ruleset) is not None:
        return said
    try:
        hyperparameter_points(path, load_protocol(_PROTOCOL), "external", workload, search_space=search_space)
    except UsageError:
        if search_space is not None:
            raise
        hyperparameter_points(path, load_protocol(_PROTOCOL), "self", workload)
        return "self"
    return "external"


def _in_a_process(arguments: tuple[Any, ...], further: tuple[Any, ...], say: Say) -> Row:
    workload = arguments[2]
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.NamedTemporaryFile("r", prefix="algoperf_dry_run_", encoding="utf-8", errors="replace") as output:
        process = context.Process(target=_process, args=(arguments, further, sender, output.name), daemon=False)
        process.start()
        sender.close()
        row = None
        with contextlib.suppress(EOFError):
            while row is None:
                match receiver.recv():
                    case UsageError() as error:
                        process.join()
                        raise error
                    case Row() as row:
                        pass
                    case doing:
                        say(f"{workload}: {doing}")
        process.join()
        if row is not None:
            return row
        said = [line for line in output.read().splitlines() if line.strip()]
        last = f"; it said last: {said[-1].strip()}" if said else ""
        return Row(workload, "wrong", (f"its process ended with exit code {process.exitcode}{last}",))


def _process(arguments: tuple[Any, ...], further: tuple[Any, ...], sender: Connection, output: str) -> None:
    """The process of one workload; what the submission prints goes to `output`."""
    descriptor = os.open(output, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    try:
        sender.send(check_one(*arguments, sender.send, *further))
    except UsageError as error:
        sender.send(error)


def check_one(
    name: str,
    framework: Framework,
    workload: str,
    ruleset: Ruleset,
    data_dir: Path,
    say: Say,
    search_space: Path | None = None,
    strict_requirements: bool = False,
) -> Row:
    """Checks one workload in this process. Raises UsageError where the submission cannot be loaded."""
    say("loading")
    identity = make_trial(_PROTOCOL, ruleset, name, framework, workload, 0, 1)
    row = Row(workload, "ok")
    try:
        setup = set_up(
            *(identity, Path(os.devnull), data_dir),
            search_space=search_space,
            strict_requirements=strict_requirements,
        )
        setup = dataclasses.replace(setup, batch_size=_EXAMPLES_PER_DEVICE * setup.backend.num_devices)
        before = psutil.Process().memory_info().rss
        first, second, sentences = _steps(setup, say)
        flags = tuple(flag.what for flag in setup.referee.flags)
        row = dataclasses.replace(row, first_step=first, second_step=second, sentences=(*sentences, *flags))
    except SizeError as error:
        return Row(workload, "wrong", (str(error),))
    except UsageError:
        raise
    except RuleError as error:
        return Row(workload, "wrong", (str(error),))
    except Exception as error:
        raised = error.__cause__ if isinstance(error, SubmissionError) and error.__cause__ else error
        if isinstance(raised, AttributeError) and (hyperparameter := read_of_none(raised)) is not None:
            raise UsageError(loading.without_hyperparameters(loading.find(name, framework), hyperparameter)) from error
        return Row(workload, "wrong", (_in_one_line(raised),))
    peak = setup.backend.peak_memory()
    if peak is not None:
        return dataclasses.replace(row, memory=peak, memory_of="device")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    return dataclasses.replace(row, memory=max(0, grown))


def _steps(setup: Setup, say: Say) -> tuple[float, float, list[str]]:
    """Seconds of the first and of the second step, and what a person should know about the state."""
    setup.workload.metrics_logger = MetricsLogger(None, setup.backend.snapshot)
    say("making the model and the optimizer")
    run, state = session.begin(setup)
    batches = _batches(setup)
    say("the first step, which compiles")
    first = _timed_step(run, state, batches)
    setup.referee.inspect(state.params, state.optimizer_state)
    say("saving and a second step")
    try:
        saved = _through_a_file(run.backend.export(tree_of(state)))
    except Exception as error:
        saved, sentences = None, [f"its state cannot be saved, so an interrupted trial begins anew: {error}"]
    else:
        sentences = []
    random_state = run.backend.export_random_state()
    second = _timed_step(run, state, batches)
    if saved is not None:
        say("the second step again, from the saved state")
        sentences = _repeat(run, state, batches, saved, random_state)
    say("preparing for an evaluation")
    prepare_for_evaluation(run, state)
    setup.referee.inspect(state.params, state.optimizer_state)
    return first, second, sentences


def _repeat(run: Run, state: State, batches: Iterator[Any], saved: Any, random_state: Any) -> list[str]:
    """The step that was just taken, taken again from the state before it: it must come out as it did."""
    backend = run.backend
    expected = copy.deepcopy(backend.export(state.params))  # on a CPU it may be the parameters' own memory
    with submission_code(run):
        state.params, state.optimizer_state, state.model_state = backend.restore(tree_of(state), saved)
    backend.restore_random_state(random_state)
    state.global_step -= 1
    _timed_step(run, state, batches)
    if _is_alike(expected, backend.export(state.params)):
        return []
    return ["a step from its saved state comes out differently: it keeps something outside of its optimizer state"]


def _is_alike(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return set(one) == set(other) and all(_is_alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_is_alike, one, other))
    if not isinstance(one, np.ndarray) or one.dtype.kind != "f":
        return True
    return bool(np.allclose(one, other, rtol=_REPEATED, atol=_REPEATED * float(np.abs(one).max(initial=0.0))))


def _timed_step(run: Run, state: State, batches: Iterator[Any]) -> float:
    begin = time.monotonic()
    train_step(run, state, Clock(time.monotonic), batches)
    with submission_code(run):
        run.backend.synchronize()
    return time.monotonic() - begin


def _batches(setup: Setup) -> Iterator[Any]:
    """The same few examples again and again, placed anew each time: a submission may donate its batch."""
    source = open_source(setup.workload.spec, "train", setup.workload.data_dir)
    rank, world_size = setup.backend.shard
    indices = np.arange(setup.batch_size * source.lookahead)
    ends = source.divide(indices, setup.batch_size, world_size)
    rows, size = slice(ends[rank], ends[rank + 1]), setup.batch_size // world_size
    with ThreadPoolExecutor(processors.threads()) as pool:
        used = indices[: int(ends[-1])]
        batch = source.read(used, np.zeros_like(used), rows, size, setup.seed, pool)
    return (setup.backend.place_batch(batch) for _ in itertools.count())


def _through_a_file(exported: Any) -> Any:
    """What a checkpoint makes of it."""
    with Scratch("dry_run") as folder:
        checkpoint.save(folder, 1, {"state": exported})
        return checkpoint.restore_latest(folder)[0]["state"]


def _in_one_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
