"""Whether the mini benchmark measures, or draws lots: its runs again, and its trials with other seeds and threads.

Run, on a machine that does nothing else:

    python benchmarks/mini_repeats.py runs     # ten times `make score`, three of them on a slowed machine: 80 minutes
    python benchmarks/mini_repeats.py seeds    # each trial with five other seeds, on one core and on two: 60 minutes

`runs` shows that the same trials reach their targets after the same steps, whatever the machine does, and how far each
score goes apart. `seeds` shows that each of them reaches its target with any seed, or with none: that is the margin of
the targets (docs/targets.md). Both go on where they were stopped.
"""

import argparse
import contextlib
import csv
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from algoperf.benchmark.identity import Trial, seed
from algoperf.experiment import config, plan
from algoperf.records import official_files
from algoperf.trial import session, setup
from algoperf.trial.train import State

CONFIG = Path("config/mini.yaml")
RUNS, SEEDS, CORES = 10, 5, (1, 2)
# What runs beside a slowed run: processes that compute for nothing, for each core. One leaves the trials half of the
# machine, three a quarter.
BUSY = {7: 1, 8: 3, 9: 3}
_BUSY_LOOP = "while True: pass"


# Whole runs


@contextlib.contextmanager
def busy(per_core: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", _BUSY_LOOP]) for _ in range(per_core * os.cpu_count())]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def run_all(out: Path) -> None:
    experiment = config.load(CONFIG)
    runs = [run_once(out / f"run_{number}", BUSY.get(number, 0)) for number in range(RUNS)]
    for number in range(RUNS):
        name = f"run {number}" + (f", {BUSY[number]} busy loops a core" if number in BUSY else "")
        reached = sum(step is not None for step in runs[number]["hits"].values())
        scores = ", ".join(f"{label} {score:.3f}" for label, score in runs[number]["scores"].items())
        print(f"{name}: {runs[number]['seconds']:.0f} s, {reached} of {len(runs[number]['hits'])} reach; {scores}")
    print()
    for trial in plan.trials(experiment):
        hits = [run["hits"][str(trial.folder)] for run in runs]
        same = "the same in all" if len(set(hits)) == 1 else f"DIFFERENT: {hits}"
        print(f"{trial.workload:24} {trial.label:18} step {hits[0]}, {same}")
    print()
    for label in runs[0]["scores"]:
        scores = [run["scores"][label] for run in runs]
        spread = f"{min(scores):.3f} to {max(scores):.3f}, sd {statistics.stdev(scores):.3f}"
        quiet = [run["scores"][label] for number, run in enumerate(runs) if number not in BUSY]
        print(f"{label:18} {spread}; quiet {min(quiet):.3f} to {max(quiet):.3f}, sd {statistics.stdev(quiet):.3f}")


def run_once(results: Path, busy_per_core: int) -> dict[str, Any]:
    """hits: the step at which each trial reached its target, None for a miss; scores: by submission; seconds."""
    record = results / "run.json"
    if record.exists():
        return json.loads(record.read_text())
    begun = time.monotonic()
    with busy(busy_per_core):
        command = ["snakemake", "score", "--profile", "profiles/local", "--config", f"results_dir={results}"]
        subprocess.run(command, check=True)
    with (results / "mini" / "scores" / "external" / "scores.csv").open(newline="") as file:
        scores = {row["submission"]: float(row["score"]) for row in csv.DictReader(file)}
    hits = {str(trial.folder): hit_step(results / trial.folder) for trial in plan.trials(config.load(CONFIG))}
    found = {"seconds": time.monotonic() - begun, "scores": scores, "hits": hits}
    record.write_text(json.dumps(found))
    return found


def hit_step(folder: Path) -> int | None:
    """The step of the evaluation that met the validation target."""
    time_to_target = json.loads((folder / official_files.RESULT).read_bytes())["time_to_target"]
    if time_to_target is None:
        return None
    with (folder / official_files.EVALUATIONS).open(newline="") as file:
        rows = {float(row["accumulated_submission_time"]): int(row["global_step"]) for row in csv.DictReader(file)}
    return rows[time_to_target]


# Trials with other seeds


def run_seeds(out: Path) -> None:
    for cores in CORES:
        # A process of its own: what the frameworks take for the number of cores is read when they are imported.
        subprocess.run([sys.executable, __file__, "trials", "--out", str(out), "--cores", str(cores)], check=True)
    found = [json.loads(line) for line in _record(out).read_text().splitlines()]
    for trial in plan.trials(config.load(CONFIG)):
        mine = [entry for entry in found if (entry["workload"], entry["label"]) == (trial.workload, trial.label)]
        hits = [entry["hit"] for entry in mine if entry["hit"] is not None]
        steps = f", step {min(hits)} to {max(hits)}, evaluation {min(e['evaluation'] for e in mine)}" if hits else ""
        verdict = "" if len(hits) in (0, len(mine)) else " <- BY LUCK"
        print(f"{trial.workload:24} {trial.label:18} {len(hits)} of {len(mine)} reach{steps}{verdict}")


def run_trials(out: Path, cores: int) -> None:
    """Appends a line for each trial and seed; those that have one are not run again."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    record = _record(out)
    record.parent.mkdir(parents=True, exist_ok=True)
    lines = record.read_text().splitlines() if record.exists() else []
    done = {tuple(json.loads(line)[name] for name in ("workload", "label", "seed", "cores")) for line in lines}
    experiment = config.load(CONFIG)
    for number in range(SEEDS):
        for trial in plan.trials(experiment):
            if (trial.workload, trial.label, number, cores) not in done:
                found = run_trial(trial, number, experiment.data_dir)
                line = {"workload": trial.workload, "label": trial.label, "seed": number, "cores": cores, **found}
                with record.open("a") as file:
                    file.write(json.dumps(line) + "\n")


def run_trial(trial: Trial, number: int, data_dir: Path) -> dict[str, Any]:
    """hit: the step that met the validation target, None for a miss; evaluation: its number, from 1, or how many there
    were. number: 0 is the trial's own seed, others are those of studies that the protocol has not."""
    with tempfile.TemporaryDirectory() as folder:
        ready = setup.set_up(trial, Path(folder), data_dir)
        other = seed(trial.protocol, trial.label, trial.workload, number, trial.trial)
        rows: list[dict[str, float | int]] = []

        def report(state: State) -> None:
            rows[:] = state.evaluations

        session.execute(dataclasses.replace(ready, seed=other), report)
        workload = ready.workload
        reached = [place for place, row in enumerate(rows, 1) if workload.has_reached_validation_target(row)]
        values = [row[f"validation/{workload.target_metric_name}"] for row in rows]
    hit = rows[reached[0] - 1]["global_step"] if reached else None
    return {"hit": hit, "evaluation": reached[0] if reached else len(rows), "values": values}


def _record(out: Path) -> Path:
    return out / "seeds.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("runs", "seeds", "trials"), help="trials: the part of `seeds` on --cores")
    parser.add_argument("--out", type=Path, default=Path("repeats"))
    parser.add_argument("--cores", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.what == "runs":
        run_all(arguments.out)
    elif arguments.what == "seeds":
        run_seeds(arguments.out)
    else:
        run_trials(arguments.out, arguments.cores)


if __name__ == "__main__":
    main()
