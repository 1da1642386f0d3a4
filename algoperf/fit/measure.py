"""Asks the frameworks, in processes of their own, what cells take."""

import dataclasses
import datetime
import functools
import importlib.metadata
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from algoperf.benchmark.facts import FRAMEWORKS, Framework
from algoperf.fit.cells import PHASES, Cell, Figures, Phase
from algoperf.machine import hardware, installation

# What a framework must have to be asked: modules, and the extra that brings them.
_NEEDS: Mapping[Framework, tuple[str, str]] = {
    "jax": ("jax_plugins.xla_cuda12", "jax"),
    "pytorch": ("torch", "pytorch"),
}
_OF_JAX = {
    # The process has no device; a plugin of CUDA that finds none must not mind.
    "JAX_PLATFORMS": "cpu",
    "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",
    # Where several compile at once, each would take all cores.
    "XLA_FLAGS": f"--xla_gpu_force_compilation_parallelism=1 {hardware.XLA_FLAG}",
}
_PACKAGES: Mapping[Framework, str] = {"jax": "jax", "pytorch": "torch"}
_DIGITS = 9  # of a commit
_LINES, _LETTERS = 3, 400  # of what a process said before it failed
_ERROR = re.compile(r"[\w.]*(Error|Exception)\b")


def cannot(framework: Framework) -> str | None:
    """Why a framework cannot be asked here; None where it can."""
    module, extra = _NEEDS[framework]
    try:
        is_there = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        is_there = False
    if is_there:
        return None
    if framework == "jax":
        return "XLA's compiler for GPUs is not installed here: `python -m pip install 'jax[cuda12]'` brings it."
    return f"{module} is not installed here: `{installation.command(extra)}` brings it."


def measured(cells: Sequence[Cell], phases: Sequence[Phase] = PHASES) -> Iterator[Figures]:
    """The figures of cells whose frameworks can be asked here, as they come: JAX's take minutes each."""
    of_pytorch = [cell for cell in cells if cell.framework == "pytorch"]
    if of_pytorch:
        yield from _of_pytorch(of_pytorch, phases)
    for cell in cells:
        if cell.framework == "jax":
            yield _of_jax(cell, phases)


def _of_pytorch(cells: Sequence[Cell], phases: Sequence[Phase]) -> Iterator[Figures]:
    """In one process, which takes a second or two for each."""
    remaining = list(cells)
    while remaining:
        told, failure = _asked("pytorch", remaining, phases, {})
        yield from map(_figures, remaining[: len(told)], told)
        if len(told) < len(remaining):
            yield _failed(remaining[len(told)], phases, failure)
        remaining = remaining[len(told) + 1 :]


def _of_jax(cell: Cell, phases: Sequence[Phase]) -> Figures:
    """Where XLA aborts, its process ends, so that each phase is asked alone."""
    told, failure = _asked("jax", [cell], phases, _OF_JAX)
    if told:
        return _figures(cell, told[0])
    if len(phases) == 1:
        return _failed(cell, phases, failure)
    return _joined([_of_jax(cell, [phase]) for phase in phases])


def _asked(
    framework: Framework, cells: Sequence[Cell], phases: Sequence[Phase], variables: Mapping[str, str]
) -> tuple[list[dict], str]:
    """What the process told of the first cells, and why it ended before the next."""
    request = "".join(f"{json.dumps({'cell': dataclasses.asdict(cell), 'phases': [*phases]})}\n" for cell in cells)
    done = subprocess.run(
        [sys.executable, "-m", "algoperf.shapes", framework],
        input=request,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **variables},
        check=False,
    )
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    how = signal.Signals(-done.returncode).name if done.returncode < 0 else f"exit code {done.returncode}"
    return told, f"{how}: {_reason(done.stderr)}"


def _reason(said: str) -> str:
    """What of a process's last words says why: the error's own line, or else the last ones."""
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR.match(line) or "Check failed" in line]
    return " ".join(errors[-1:] or lines[-_LINES:])[:_LETTERS]


def _figures(cell: Cell, told: dict) -> Figures:
    return Figures(cell=cell, made=datetime.date.today().isoformat(), code=_code(cell.framework), **told)


@functools.cache
def _code(framework: Framework) -> str:
    """What was asked: the commit of this program, or its version, and the framework's version."""
    commit = hardware.git_commit(Path(__file__).parent)
    own = importlib.metadata.version(installation.DISTRIBUTION) if commit is None else commit[:_DIGITS]
    changes = "+changes" if commit is not None and commit.endswith("+changes") else ""
    package = _PACKAGES[framework]
    return f"{own}{changes}, {package} {hardware.versions()[package]}"


def _failed(cell: Cell, phases: Sequence[Phase], reason: str) -> Figures:
    return _figures(cell, {"peaks": {}, "failures": dict.fromkeys(phases, reason)})


def _joined(parts: Sequence[Figures]) -> Figures:
    """Those of one cell's phases; what is told of the training step comes first."""
    peaks = {phase: peak for part in parts for phase, peak in part.peaks.items()}
    failures = {phase: reason for part in parts for phase, reason in part.failures.items()}
    return dataclasses.replace(parts[0], peaks=peaks, failures=failures)


def askable() -> list[Framework]:
    return [framework for framework in FRAMEWORKS if cannot(framework) is None]
