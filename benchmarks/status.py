"""How long does one look at the status of many trials take, the first one and those after it?

    python benchmarks/status.py

An experiment of 3,500 trials, v0.5 for ten submissions, as it stands half way: every second trial is done, 300 run and
have 100 evaluations each, the others wait. Parts: reading the files, the forecast, and drawing for a terminal of 80 x
50. Between two looks ten trials are evaluated once more. Beside them: looking at one file of each trial with `os.stat`.
Seconds of the processor, because machines are shared; a network file system's delays come on top.
"""

import dataclasses
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from algoperf.benchmark.identity import Trial
from algoperf.benchmark.registry import load_spec
from algoperf.experiment import config, plan
from algoperf.machine import lock
from algoperf.progress.forecast import forecast
from algoperf.progress.status import Reader
from algoperf.progress.status_view import live_view
from algoperf.records import official_files

SUBMISSIONS, RUNNING, ROWS, LOOKS = 10, 300, 100, 5


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        trials = write_experiment(results)
        stat = seconds(lambda: [os.path.exists(results / trial.folder / official_files.RESULT) for trial in trials])[0]
        reader = Reader(trials, results)
        print(f"{len(trials):,} trials; one os.stat of each: {1e3 * stat:.0f} ms")
        print(f"{'':12} {'read ms':>8} {'forecast ms':>12} {'draw ms':>8} {'in all':>8} {'x stat':>7}")
        report("first look", [look(reader)], stat)
        later = []
        for number in range(LOOKS):
            for trial in trials[1 : 20 * 2 : 4]:  # some of those that run
                with (results / trial.folder / official_files.EVALUATIONS).open("a") as file:
                    file.write(row(ROWS + 1 + number))
            later.append(look(reader))
        report("later, median", later, stat)


def write_experiment(results: Path) -> list[Trial]:
    experiment = config.parse({"protocol": "v0.5", "submissions": [{"name": "nadamw", "framework": "jax"}]})
    labels = [f"submission_{index}_jax" for index in range(SUBMISSIONS)]
    trials = [dataclasses.replace(trial, label=label) for label in labels for trial in plan.trials(experiment)]
    me = psutil.Process()
    holder = {"host": os.uname().nodename, "pid": me.pid, "started": me.create_time(), "job": None, "token": ""}
    result = {"status": "reached", "global_step": 10_000, "charged_time": 7_050.0}
    for index, trial in enumerate(trials):
        folder = results / trial.folder
        is_done, is_running = index % 2 == 0, index % 2 and index < 2 * RUNNING
        if not (is_done or is_running):
            continue
        folder.mkdir(parents=True)
        header = "accumulated_eval_time,accumulated_logging_time,accumulated_submission_time,global_step,validation/"
        text = f"{header}{load_spec(trial.workload).target.metric}\n" + "".join(map(row, range(1, ROWS + 1)))
        (folder / official_files.EVALUATIONS).write_text(text)
        (folder / "meta_data_0.json").write_text(json.dumps({"seconds_to_first_step": 60.0}))
        name, content = (official_files.RESULT, result) if is_done else (lock.LOCK, holder)
        (folder / name).write_text(json.dumps(content))
    return trials


def row(number: int) -> str:
    return f"{number * 9.5},{number * 0.5},{number * 70.5},{number * 100},0.5\n"


def look(reader: Reader) -> tuple[float, float, float]:
    """CPU seconds of the three parts of one look."""
    console = Console(file=io.StringIO(), width=80, height=50, force_terminal=True)
    reading, found = seconds(reader.read)
    forecasting, seen = seconds(lambda: forecast(found, time.time()))
    drawing, _ = seconds(lambda: console.print(live_view(found, seen, console)))
    return reading, forecasting, drawing


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    value = call()
    return time.process_time() - start, value


def report(name: str, looks: list[tuple[float, float, float]], stat: float) -> None:
    parts = [statistics.median(part) for part in zip(*looks, strict=True)]
    reading, forecasting, drawing, total = (1e3 * part for part in (*parts, sum(parts)))
    print(f"{name:13}{reading:8.0f} {forecasting:12.0f} {drawing:8.0f} {total:8.0f} {total / stat / 1e3:7.1f}")


if __name__ == "__main__":
    main()
