"""What can one GPU prove of this program in ten minutes?

    python benchmarks/gpu_check.py [--stage STAGE ...] [--tiny] [--out DIR]

Each stage is a process of its own, the most telling first: a crash ends only that one, and each has its time. A row
says what was expected and what was seen, and ends in `ok` or `NOT`; `-` where it could not be seen. The table is in
DIR/gpu_check.txt, too. A step has the batch of one of 8 V100, and what it may take is the workload's budget divided by
its step hint. `--tiny` takes small batches and models, and passes on CPUs. The stage `trial` reads the prepared mini
data in `data`.
"""

import argparse
import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu.steps import Row

# Where each stage is, and the seconds that it may take, in the order in which they run.
STAGES = {
    "env": ("both", 30),
    "jax_resnet": ("programs", 90),
    "lstm": ("in_pytorch", 60),
    "pytorch": ("in_pytorch", 150),
    "pytorch_resnet": ("in_pytorch", 90),
    "jax": ("programs", 240),
    "twins": ("both", 60),
    "trial": ("programs", 120),
    "two_ranks": ("programs", 60),
    "out_of_memory": ("both", 40),
    "pipeline": ("pipeline", 30),
}
# One workload of a stage, in a process that the stage starts.
PARTS = {"jax": ("programs", "jax_one"), "rank": ("two_ranks", "rank")}
IN_ALL, TINY_STAGE = 575, 900  # seconds
VERDICTS = {True: "ok", False: "NOT", None: "-"}
REPOSITORY = Path(__file__).resolve().parents[1]


def rows_of(stage: str, is_tiny: bool, seconds: float, variables: dict[str, str]) -> Iterator[Row]:
    """Of a stage or a part of one, in a process of its own; how that failed is a row, too."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.gpu_check", "--part", stage, *["--tiny"] * is_tiny],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **variables},
            cwd=REPOSITORY,
            start_new_session=True,
        )
        try:
            out, _ = process.communicate(timeout=seconds)
            failure = "" if process.returncode == 0 else f"exit code {process.returncode}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, failure = process.communicate()[0] or "", f"stopped after {seconds:.0f} s"
        yield from (Row(*json.loads(line)) for line in out.splitlines() if line.startswith("["))
        if failure:
            errors.seek(0)
            yield Row(stage, "ends", f"{failure}: {' '.join(errors.read().split())[-300:]}", False)


def run_here(stage: str, is_tiny: bool) -> None:
    name, _, workload = stage.partition(":")
    if workload:
        module, function = PARTS[name]
        rows = _found(module, function)(workload, is_tiny)
    elif STAGES[name][0] == "programs":
        seconds = TINY_STAGE if is_tiny else STAGES[name][1]
        rows = _found("programs", name)(is_tiny, lambda part, more: list(rows_of(part, is_tiny, seconds, more)))
    else:
        rows = _found(STAGES[name][0], name)(is_tiny)
    for row in rows:
        print(json.dumps(row), flush=True)


@functools.cache
def _found(module: str, function: str):
    return getattr(importlib.import_module(f"benchmarks.gpu.{module}"), function)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stage", action="append", choices=list(STAGES), help="some stages; all where left out")
    parser.add_argument("--tiny", action="store_true", help="small batches and models, on CPUs, too")
    parser.add_argument("--out", type=Path, default=Path("."), help="where gpu_check.txt is written")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part is not None:
        run_here(asked.part, asked.tiny)
        return
    begin, is_good = time.monotonic(), True
    asked.out.mkdir(parents=True, exist_ok=True)
    with (asked.out / "gpu_check.txt").open("w", buffering=1) as report:
        for stage in asked.stage or STAGES:
            left = IN_ALL - (time.monotonic() - begin)
            for row in rows_of(stage, asked.tiny, TINY_STAGE if asked.tiny else min(left, STAGES[stage][1]), {}):
                line = f"{row.what:44} | {row.expected:36} | {row.seen} | {VERDICTS[row.holds]}"
                print(line, flush=True)
                print(line, file=report)
                is_good = is_good and row.holds is not False
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
