"""How long does scoring take, of a tree of logs as large as the v0.5 leaderboard's (3,718 files)?

    python benchmarks/score_logs.py LOGS

Each the median of five: the bytes of all files read and thrown away (the yardstick), reading and scoring in this
process, 1,000 draws (of the posterior, of studies, and of studies and trials) and leaving each submission, study and
workload out, and `algoperf score` as a process of its own, with the start of Python, imports, tables and pictures. The
first two also with the files' contents put out of the page cache before each run (names and inodes stay in it). The
reference code took 9.5 s for the same v0.5 logs on two cores, on which the limits were set: 1 s to read and score, 2 s
for the draws.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from algoperf.benchmark.protocol import load_protocol
from scoring.certainty.leave_one_out import leave_one_out
from scoring.certainty.uncertainty import DRAWS, WAYS, draw
from scoring.logs.read import read_logs
from scoring.rules.score import score_trials

RUNS = 5
PROTOCOL = load_protocol("v0.5")
READING = "as-documented"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", type=Path)
    logs = parser.parse_args().logs
    files = sorted(logs.rglob("eval_measurements.csv"))
    print(f"{len(files):,} files, {sum(file.stat().st_size for file in files) / 1e6:.1f} MB")
    for cache, before in (("warm", lambda: None), ("cold", lambda: forget(files))):
        yardstick = seconds(lambda: [file.read_bytes() for file in files], before)
        scoring = seconds(lambda: read_and_score(logs), before)
        print(
            f"{cache}: mere bytes {yardstick:.2f} s; read and score {scoring:.2f} s = {scoring / yardstick:.1f}x them"
        )
    trials = read_logs(logs, PROTOCOL, "external").trials
    scoring = seconds(lambda: score_trials(trials, PROTOCOL, READING))
    for what, work in (
        *((f"{DRAWS:,} draws of {way}", partial(draw, trials, PROTOCOL, READING, way)) for way in WAYS),
        ("leaving out each one", partial(leave_one_out, score_trials(trials, PROTOCOL, READING))),
    ):
        taken = seconds(work)
        print(f"{what}: {taken:.2f} s = {taken / scoring:.0f}x one scoring of {scoring:.3f} s")
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-c", "from algoperf.commands.cli import main; main()", "score", str(logs)]
        command += ["--protocol", PROTOCOL.name, "--ruleset", "external", "--out", out]
        whole = seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    start = seconds(lambda: subprocess.run([sys.executable, "-c", ""], check=True))
    print(f"warm: whole command {whole:.2f} s, of which the start of Python is {start:.2f} s")


def read_and_score(logs: Path) -> None:
    score_trials(read_logs(logs, PROTOCOL, "external").trials, PROTOCOL, READING)


def seconds(work: Callable[[], object], before: Callable[[], None] = lambda: None) -> float:
    """Median wall-clock of `RUNS` runs, after one that does not count."""
    times = []
    for _ in range(RUNS + 1):
        before()
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def forget(files: Sequence[Path]) -> None:
    """Puts the files' contents out of the page cache, as far as the kernel follows the advice."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


if __name__ == "__main__":
    main()
