"""`python -m algoperf.progress.costs`: `baseline FILE` and `mini CONFIG` make two of the files again."""

import argparse
import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from algoperf.benchmark.facts import Target
from algoperf.benchmark.registry import load_spec
from algoperf.experiment import config, plan
from algoperf.progress import costs, status
from algoperf.records.atomic import write_atomically


def baseline_rows(evaluations: pd.DataFrame) -> list[dict[str, Any]]:
    """One row for each trial of the v0.5 baseline's logs.

    evaluations: columns ruleset, study, workload, trial, global_step, accumulated_submission_time, validation_metric,
    test_metric, accumulated_eval_time, in the logs' own units.
    """
    rows = []
    for (ruleset, study, workload, trial), curve in evaluations.groupby(["ruleset", "study", "workload", "trial"]):
        target = load_spec(workload).target
        times = curve["accumulated_submission_time"].to_numpy()
        hit, test_hit = (_first_hit(target, split, times, curve[f"{split}_metric"]) for split in ("validation", "test"))
        rows.append(
            {
                "ruleset": ruleset.removesuffix("_tuning"),
                "study": study,
                "workload": workload,
                "trial": trial,
                "global_step": int(curve["global_step"].iloc[-1]),
                "charged": times[-1],
                "evaluations": len(curve),
                "first_evaluation_time": curve["accumulated_eval_time"].iloc[0],
                "evaluation_time": curve["accumulated_eval_time"].iloc[-1],
                "hit_time": hit,
                "both_time": None if hit is None or test_hit is None else max(hit, test_hit),
            }
        )
    return rows


def _first_hit(target: Target, split: str, times: Iterable[float], values: Iterable[float]) -> float | None:
    return next((time for time, value in zip(times, values, strict=True) if target.reached(value, split)), None)


def mini_rows(experiment: config.Config) -> list[dict[str, Any]]:
    """One row for each finished trial of an experiment that says what was free."""
    found = status.statuses(plan.trials(experiment), experiment.results_dir)
    return [
        {
            "workload": entry.trial.workload,
            "submission": entry.trial.label,
            "status": entry.outcome,
            "global_step": entry.global_step,
            "charged": round(entry.charged, 2),
            "evaluations": entry.evaluations,
            "free": round(entry.free, 2),
            "set_up": round(entry.set_up, 2),
        }
        for entry in found
        if entry.progress == "done" and entry.free is not None and entry.set_up is not None
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m algoperf.progress.costs")
    parser.add_argument("what", choices=("baseline", "mini"))
    parser.add_argument("file", type=Path, help="the evaluations as CSV, or the config of a finished mini experiment")
    arguments = parser.parse_args()
    if arguments.what == "baseline":
        write(costs.BASELINE, baseline_rows(pd.read_csv(arguments.file)))
    else:
        write(costs.MINI, mini_rows(config.load(arguments.file)))


if __name__ == "__main__":
    main()
