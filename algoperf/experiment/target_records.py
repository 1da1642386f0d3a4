"""What target setting reads and leaves: the files of its trials, the best point, and a record of each target.

A record holds all that a target was made of: the search, the curve of each seed, and how and by what they were made.
"""

import csv
import dataclasses
import io
import json
import math
import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import InfrastructureError, Target, UsageError
from algoperf.benchmark.identity import Trial
from algoperf.benchmark.protocol import TARGET_SETTING, load_protocol
from algoperf.benchmark.registry import load_spec
from algoperf.experiment import plan, targets
from algoperf.experiment.config import Config
from algoperf.experiment.targets import Evaluation, FinishedTrial
from algoperf.records import official_files
from algoperf.records.atomic import write_atomically, write_json
from algoperf.trial.definition import Definition

_TRIAL = re.compile(r"trial_([1-9][0-9]*)")
_TABLE_COLUMNS = ("workload", "metric", "goal", "validation", "test", "submission", "trial", "seeds", "reaching")
_TABLE_COLUMNS += ("steps", "runtime", "max_runtime")


def folder(results: Path, protocol: str) -> Path:
    """Where the targets of a protocol are written to."""
    return results / protocol / "targets"


def best_point_file(results: Path, protocol: str, workload: str) -> Path:
    return folder(results, protocol) / "best_points" / f"{workload}.json"


def begun_trials(config: Config, results: Path) -> list[Trial]:
    """The trials of target setting, where it has begun: the search, and the repeats that are known by now."""
    if not (results / config.protocol / TARGET_SETTING).exists():
        return []
    found = []
    for workload, search in plan.target_search(config).items():
        found += search
        if (path := best_point_file(results, config.protocol, workload)).exists():
            found += plan.target_repeats(config, best_trial(path))
    return found


def planned_trials(config: Config, results: Path) -> list[Trial]:
    """All trials of target setting: the search, and the repeats; those of the first point where the best is not known.

    They cost the same whichever point it is.
    """
    found = []
    for workload, search in plan.target_search(config).items():
        path = best_point_file(results, config.protocol, workload)
        found += [*search, *plan.target_repeats(config, best_trial(path) if path.exists() else search[0])]
    return found


def read_search(results: Path, protocol: str, workload: str, labels: Iterable[str], points: int) -> list[FinishedTrial]:
    """The finished trials of a search, by contestant and point. Raises UsageError where there are none."""
    runs = []
    for label in labels:
        framework = label.rpartition("_")[2]
        study = results / protocol / TARGET_SETTING / label / "study_0" / f"{workload}_{framework}"
        numbers = sorted(int(match[1]) for path in study.glob("trial_*") if (match := _TRIAL.fullmatch(path.name)))
        runs += [read_run(study / f"trial_{number}") for number in numbers if number <= points]
    if not runs:
        raise UsageError(f"{results} has no trials of target setting on {workload} by {', '.join(labels)}.")
    return runs


def read_run(path: Path) -> FinishedTrial:
    """A finished trial's files. Raises InfrastructureError where it has no result or a file is damaged."""
    try:
        result = json.loads((path / official_files.RESULT).read_bytes())
        trial = Trial(**{field.name: result[field.name] for field in dataclasses.fields(Trial)})
        metric = _target(trial.protocol, trial.workload).metric
        metadata = path / "meta_data_0.json"
        return FinishedTrial(
            trial=trial,
            point=result["hyperparameters"],
            seed=result["seed"],
            status=result["status"],
            charged=result["charged_time"],
            # What the referee has refused falsifies its numbers, whatever they are.
            evaluations=() if result.get("refused") else _read_evaluations(path / official_files.EVALUATIONS, metric),
            evidence={
                "commit": json.loads(metadata.read_bytes())["git_commit_hash"] if metadata.exists() else None,
                "versions": result["versions"],
                "accelerator": result["accelerator"],
                "hardware": result["hardware"],
            },
        )
    except FileNotFoundError as error:
        raise InfrastructureError(f"{error.filename} is missing: the trial has no result yet.") from None
    except OSError as error:
        raise InfrastructureError(f"{error.filename or path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InfrastructureError(f"{path} is damaged: {type(error).__name__}: {error}.") from None


def _read_evaluations(path: Path, metric: str) -> tuple[Evaluation, ...]:
    """None for a trial that has failed before its first evaluation."""
    if not path.exists():
        return ()
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(
            Evaluation(
                step=int(row["global_step"]),
                validation=float(row[f"validation/{metric}"]),
                test=float(row[f"test/{metric}"]) if f"test/{metric}" in row else None,
            )
            for row in csv.DictReader(file)
        )


def _target(protocol: str, workload: str) -> Target:
    return load_spec(workload, load_protocol(protocol).scale).target


# The best point


def write_best_point(runs: Sequence[FinishedTrial], out: Path) -> FinishedTrial:
    """Records a search, best first. Raises InfrastructureError where no trial of it has a value."""
    trial = runs[0].trial
    goal = _target(trial.protocol, trial.workload).goal
    best = targets.best_run(runs, goal)
    search = [
        {
            "submission": run.trial.label,
            "trial": run.trial.trial,
            "status": run.status,
            "validation": _finite(run.best_validation(goal)),
            "hyperparameters": run.point,
        }
        for run in targets.ranked(runs, goal)
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, {"best": dataclasses.asdict(best.trial), "search": search})
    return best


def best_trial(path: Path) -> Trial:
    """The trial that a best point was found by. Raises InfrastructureError where the file is missing or damaged."""
    return Trial(**_read(path)["best"])


def is_best_of(path: Path, definitions: Iterable[Definition]) -> bool:
    """Whether a best point was found by the search of these trials: the same contestants and points."""
    try:
        searched = {(row["submission"], row["trial"]): row["hyperparameters"] for row in _read(path)["search"]}
    except (InfrastructureError, KeyError, TypeError):
        return False
    return searched == {(of.trial.label, of.trial.trial): of.point for of in definitions}


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InfrastructureError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise InfrastructureError(f"{path} is damaged; remove it, and it is made anew.") from None


# The record


def write_record(best_point: Path, results: Path, seeds: int, out: Path) -> dict[str, Any]:
    """The target that the repeats of a best point make, with all that it is made of.

    Raises InfrastructureError where a repeat has no result, and as `targets.set_target`.
    """
    found = _read(best_point)
    trial = best_trial(best_point)
    runs = [read_run(results / dataclasses.replace(trial, study=study).folder) for study in range(1, seeds + 1)]
    protocol = load_protocol(trial.protocol)
    made = targets.set_target(runs, _target(trial.protocol, trial.workload), protocol.target_setting.margin)
    spec = load_spec(trial.workload, protocol.scale)
    runtime = statistics.median(run.charged for run in runs)
    record = {
        "workload": trial.workload,
        "protocol": trial.protocol,
        "metric": made.metric,
        "goal": made.goal,
        "target": {"validation": made.validation, "test": made.test},
        "rounded": dict(zip(("validation", "test"), _values(targets.rounded(made)), strict=True)),
        "submission": trial.label,
        "trial": trial.trial,
        "hyperparameters": runs[0].point,
        "steps": protocol.target_setting_steps(spec),
        "step_hint": spec.budget[protocol.name].step_hint,
        "runtime": runtime,
        "max_runtime": runtime / protocol.target_setting.fraction,
        "seeds": [_seed(run, made) for run in runs],
        "search": found["search"],
        "made_by": {
            name: _distinct(run.evidence[name] for run in runs)
            for name in ("commit", "versions", "accelerator", "hardware")
        },
    }
    write_json(out, record)
    return record


def _values(target: Target) -> tuple[float, float | None]:
    return target.validation, target.test


def _seed(run: FinishedTrial, target: Target) -> dict[str, Any]:
    best = run.best_evaluation(target.goal)
    has_test = target.test is not None
    return {
        "study": run.trial.study,
        "seed": run.seed,
        "status": run.status,
        "reaches": run in targets.those_that_reach([run], target),
        "validation": None if best is None else best.validation,
        "step": None if best is None else best.step,
        "test": _finite(run.best_test(target.goal)) if has_test else None,
        "test_at_best_validation": _finite(best.test) if has_test and best is not None else None,
        "charged_time": run.charged,
        "curve": [[evaluation.step, _finite(evaluation.validation)] for evaluation in run.evaluations],
    }


def _finite(value: float) -> float | None:
    """JSON has no other numbers."""
    return value if math.isfinite(value) else None


def _distinct(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def read_record(path: Path) -> dict[str, Any]:
    """Raises UsageError for a file that is no record of a target, and InfrastructureError where it cannot be read."""
    record = _read(path)
    if not isinstance(record, dict) or not {"target", "seeds", "search"} <= record.keys():
        raise UsageError(f"{path} is no record of a target.")
    return record


def write_table(records: Iterable[dict[str, Any]], out: Path) -> None:
    """A row for each target; runtimes are in seconds."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _TABLE_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for record in records:
        seeds = record["seeds"]
        reaching = sum(seed["reaches"] for seed in seeds)
        writer.writerow({**record, **record["target"], "seeds": len(seeds), "reaching": reaching})
    write_atomically(out, text.getvalue().encode())
