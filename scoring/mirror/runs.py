"""What a trial's files say of it, running or ended, as a run of an experiment tracker: facts, point, rows."""

import csv
import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.records import official_files
from scoring.logs.files import printable, read_object
from scoring.logs.record import Record, read_record
from scoring.mirror.places import Place

EVALUATIONS, MEASUREMENTS = official_files.EVALUATIONS, "measurements.csv"
# What a submission logs, and what is counted, is told from what is measured: each is a group of its own.
_LOGGED, _COUNTED = "submission/", "time/"
CHARGED, _ELAPSED, _SCORE = (f"{_COUNTED}{name}" for name in ("accumulated_submission_time", "total_duration", "score"))
_STEP = "global_step"
_UNFINISHED = "unfinished"
_FAILED = ("out_of_memory", "submission_error")  # the ends of trials that are errors
# Facts that are others when a trial has ended.
CHANGING = ("status", "time_to_target", "refused", "flags", "preemptions")


@dataclasses.dataclass(frozen=True)
class Row:
    """values: name -> number, which may be infinite or NaN. seconds: charged until then."""

    step: int
    seconds: float
    values: Mapping[str, float]

    @property
    def digest(self) -> str:
        """The same where columns were added to a table, whose earlier rows have nothing in them."""
        return hashlib.sha256(repr((self.step, sorted(self.values.items()))).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Run:
    """key: of this training of the trial; one that is begun anew has another. began: seconds since the epoch.

    facts: name -> text, none of them empty. status: how the trial ended, None where it has not. rows: by file, those
    alone that the trial will not write again.
    """

    place: Place
    key: str
    began: float
    status: str | None
    facts: Mapping[str, str]
    point: Mapping[str, Any]
    rows: Mapping[str, Sequence[Row]]

    @property
    def has_failed(self) -> bool:
        return self.status in _FAILED


@dataclasses.dataclass(frozen=True)
class Position:
    """How much of a run is mirrored: rows and a digest of them by file, a digest of the facts; when it began, which
    follows from times of files, and stays what it was once said.
    """

    rows: Mapping[str, int]
    digests: Mapping[str, str]
    facts: str
    began: float

    @classmethod
    def of(cls, run: Run, began: float) -> "Position":
        """Where all of the run is mirrored."""
        rows = {file: len(of_file) for file, of_file in run.rows.items()}
        said = json.dumps([run.facts, run.point], sort_keys=True, default=str)
        return cls(rows, _digests(run, rows), hashlib.sha256(said.encode()).hexdigest(), began)

    def continues_to(self, run: Run) -> bool:
        """Whether what is mirrored is the beginning of the run."""
        return all(len(run.rows[file]) >= count for file, count in self.rows.items()) and (
            _digests(run, self.rows) == self.digests
        )


def _digests(run: Run, rows: Mapping[str, int]) -> dict[str, str]:
    return {
        file: hashlib.sha256("".join(row.digest for row in run.rows[file][:count]).encode()).hexdigest()
        for file, count in rows.items()
    }


def signature(folder: Path) -> tuple:
    """Another one where a file of the trial has changed; empty where there is none."""
    try:
        with os.scandir(folder) as entries:
            files = [(entry.name, entry.stat()) for entry in entries if entry.is_file()]
    except OSError:
        return ()
    return tuple(sorted((name, facts.st_mtime_ns, facts.st_size) for name, facts in files))


def read(place: Place) -> Run | None:
    """None where the trial has neither an evaluation nor a result yet, or cannot be read in this moment."""
    try:
        names = frozenset(os.listdir(place.folder))
        # The result first: once it is there, the tables are whole.
        record = read_record(str(place.folder), place.name, names, lambda path, what, done: None)
        point = read_object(f"{place.folder}/hparams.json") if "hparams.json" in names else None
        evaluations = _evaluations(place.folder / EVALUATIONS)
        began = _began(place.folder, names, evaluations)
    except OSError:
        return None
    if not evaluations and record.status is None:
        return None
    measurements = _measurements(place.folder / MEASUREMENTS, evaluations)
    if record.status is None and "checkpoints" in names:
        # A trial that goes on from its checkpoint writes anew what it logged since; evaluations are in it first.
        measurements = [row for row in measurements if row.step < evaluations[-1].step]
    first = evaluations[0].digest if evaluations else json.dumps(record.result, sort_keys=True)
    return Run(
        place=place,
        key=hashlib.sha256(first.encode()).hexdigest()[:8],
        began=began,
        status=record.status,
        facts=_facts(place, record),
        point=point or {},
        rows={EVALUATIONS: evaluations, MEASUREMENTS: measurements},
    )


def _facts(place: Place, record: Record) -> dict[str, str]:
    result = record.result
    reached = result.get("time_to_target")
    facts = {
        **{name: value for name, value in dataclasses.asdict(place).items() if name != "folder"},
        "status": record.status or _UNFINISHED,
        "time_to_target": f"{reached:.3f} s" if isinstance(reached, int | float) else "",
        "refused": record.refused,
        "flags": "; ".join(": ".join(flag) for flag in record.flags),
        "hardware": record.machine,
        "host": record.host,
        "seed": record.seed,
        "commit": record.commit,
        "content": record.content,
        "preemptions": record.preemptions,
        "software": ", ".join(f"{name} {version}" for name, version in record.software.items()),
    }
    return {name: value for name, value in facts.items() if value}


def _evaluations(path: Path) -> list[Row]:
    found = []
    for step, values in _numbers(path):
        grouped = {name if "/" in name else f"{_COUNTED}{name}": value for name, value in values.items()}
        seconds = grouped.get(CHARGED, grouped.get(_SCORE, math.nan))
        if math.isfinite(seconds):
            found.append(Row(step, seconds, grouped))
    return found


def _measurements(path: Path, evaluations: Sequence[Row]) -> list[Row]:
    """A submission logs steps, not seconds: these lie between those of the evaluations, as the steps do."""
    found = [(step, values) for step, values in _numbers(path) if values]
    knots = sorted({row.step: row.seconds for row in evaluations}.items())
    steps, seconds = zip(*knots, strict=True) if knots else ((0,), (0.0,))
    times = np.interp([step for step, _ in found], (0, *steps), (0.0, *seconds)) if found else ()
    return [
        Row(step, float(time), {f"{_LOGGED}{name}": value for name, value in values.items()})
        for (step, values), time in zip(found, times, strict=True)
    ]


def _numbers(path: Path) -> Iterable[tuple[int, dict[str, float]]]:
    """The step and the numbers of each whole row that has a step; nothing where the file is not there or is no csv."""
    try:
        rows = official_files.whole_rows(path) if path.is_file() else []
    except csv.Error:
        return
    for row in rows:
        values = {}
        for name, cell in row.items():
            try:
                values[printable(name)] = float(cell)
            except ValueError:
                continue
        step = values.pop(_STEP, math.nan)
        if step.is_integer():
            yield int(step), values


def _began(folder: Path, names: Iterable[str], evaluations: Sequence[Row]) -> float:
    """By the time of a file: of the first session's metadata, written when it began; else back from the last row."""
    if "meta_data_0.json" in names and "checkpoints" in names:
        return os.stat(folder / "meta_data_0.json").st_mtime
    if not evaluations:
        return os.stat(folder).st_mtime
    last = evaluations[-1]
    return os.stat(folder / EVALUATIONS).st_mtime - last.values.get(_ELAPSED, last.seconds)
