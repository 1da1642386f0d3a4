"""One trial's `eval_measurements.csv`, in whatever state it is -> when it hit its target, and what is wrong with it."""

import csv
import dataclasses
import io
import math
import operator
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from algoperf.benchmark.facts import Target
from scoring.logs.curves import Curve

TIME_COLUMNS = ("score", "accumulated_submission_time")  # the same charged seconds; the first is the official name
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


class Damage(NamedTuple):
    """Something wrong with a log, and what the reader made of it."""

    what: str
    done: str


@dataclasses.dataclass(frozen=True, slots=True)
class Evaluations:
    """rows: evaluations that could be read. hit_time: charged seconds of the earliest hit, inf where there is none.

    hit_row: index of the first row that hits; hit_row_time: its charged seconds. The two times differ only where the
    time column goes backwards. hit_step: that row's global step, NaN where none is logged, inf where nothing hits.
    curve: the rows themselves. test_time: charged seconds of the earliest row that meets the target on test, inf where
    none does, NaN where there is no such target or column. eval_time, total_time: seconds of evaluating, and of all
    that the trial did, by the last row; NaN where they are not logged.
    """

    rows: int = 0
    hit_time: float = math.inf
    hit_row: int | None = None
    hit_row_time: float = math.inf
    hit_step: float = math.inf
    damage: tuple[Damage, ...] = ()
    curve: Curve = dataclasses.field(default_factory=Curve)
    test_time: float = math.nan
    eval_time: float = math.nan
    total_time: float = math.nan

    @property
    def end_time(self) -> float:
        """Charged seconds of the last evaluation that has any; NaN where none has."""
        return next((time for time in reversed(self.curve.times) if math.isfinite(time)), math.nan)


class _UnusableError(Exception):
    """Why nothing can be read from a csv."""


def read_evaluations(data: bytes, target: Target) -> Evaluations:
    """Never raises: a file that cannot be used has no rows, and its damage says why."""
    damage: list[Damage] = []
    try:
        header, rows = _table(data, damage)
        curve = _curve(header, rows, target, damage)
    except _UnusableError as error:
        return unreadable(str(error), damage)
    hits = [
        (row, seconds)
        for row, (seconds, value) in enumerate(zip(curve.times, curve.values, strict=True))
        if target.reached(value, "validation") and math.isfinite(value) and 0 < seconds < math.inf
    ]
    found = Evaluations(
        rows=len(curve.times),
        damage=tuple(damage),
        curve=curve,
        test_time=_test_time(header, rows, target, curve.times),
        eval_time=_last(header, rows, "accumulated_eval_time"),
        total_time=_last(header, rows, "total_duration"),
    )
    if not hits:
        return found
    row, seconds = hits[0]
    earliest = min(time for _, time in hits)
    step = curve.steps[row] if curve.steps else math.nan
    return dataclasses.replace(found, hit_time=earliest, hit_row=row, hit_row_time=seconds, hit_step=step)


def unreadable(what: str, before: Iterable[Damage] = ()) -> Evaluations:
    """What is known of a trial without a usable csv."""
    return Evaluations(damage=(*before, Damage(what, "the trial is left out")))


def _table(data: bytes, damage: list[Damage]) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, and the complete rows."""
    if data.startswith(_LFS_POINTER):
        raise _UnusableError("a Git-LFS pointer instead of the csv")
    text = data.decode("utf-8-sig", errors="replace")
    lines = _lines(text)
    if not lines:
        raise _UnusableError("an empty csv")
    header = [name.strip() for name in lines[0]]
    return header, _complete_rows(lines[1:], len(header), text.endswith(("\n", "\r")), damage)


def _curve(header: list[str], rows: list[list[str]], target: Target, damage: list[Damage]) -> Curve:
    """Charged seconds, steps and the target's metric of each evaluation; what is wrong with them is added to `damage`.

    Not so of the steps: no score is made of them, and many logs have none.
    """
    time = next((name for name in TIME_COLUMNS if name in header), TIME_COLUMNS[0])
    metric = target.column(header)
    for name in (time, metric):
        if name not in header:
            raise _UnusableError(f"the csv has no column {name}")
    if not rows:
        raise _UnusableError("a csv without a row of evaluations")
    times = _numbers(rows, header, time, damage)
    values = _numbers(rows, header, metric, damage)
    _check_times(times, time, damage)
    if len(rows) == 1:
        damage.append(Damage("a single evaluation", "used as it is"))
    return Curve(times, _steps(rows, header), values)


def _test_time(header: list[str], rows: list[list[str]], target: Target, times: Sequence[float]) -> float:
    column = target.column(header).replace("validation/", "test/", 1)
    if target.test is None or column not in header:
        return math.nan
    values, goal = _numbers(rows, header, column, []), target.test
    # As `target.reached`, whose calls are many here.
    if target.goal == "min":
        met = [seconds for seconds, value in zip(times, values, strict=True) if -math.inf < value <= goal]
    else:
        met = [seconds for seconds, value in zip(times, values, strict=True) if goal <= value < math.inf]
    return min((seconds for seconds in met if 0 < seconds < math.inf), default=math.inf)


def _last(header: list[str], rows: list[list[str]], name: str) -> float:
    """The number of the last row that has one above or at 0."""
    if name not in header:
        return math.nan
    column = header.index(name)
    numbers = (_number(row[column]) for row in reversed(rows))
    return next((number for number in numbers if number is not None and 0 <= number < math.inf), math.nan)


def _steps(rows: list[list[str]], header: list[str]) -> list[float]:
    if "global_step" not in header:
        return []
    return _numbers(rows, header, "global_step", [])


def _lines(text: str) -> list[list[str]]:
    """The cells of each line that is not blank."""
    if '"' not in text:  # as in all real logs: the same as csv.reader, in half the time
        return [line.split(",") for line in text.splitlines() if line]
    try:
        return [line for line in csv.reader(io.StringIO(text, newline="")) if line]
    except csv.Error as error:
        raise _UnusableError(f"not a csv: {error}") from error


def _complete_rows(rows: list[list[str]], width: int, ends: bool, damage: list[Damage]) -> list[list[str]]:
    """The rows that have `width` cells. ends: whether the file ends with an end of line.

    A last row without one may have lost the end of its last number ("0.12" left of "0.1258" would be a false hit), so
    it is kept only where that cell is as long as the others' are.
    """
    if rows and not ends:
        last, others = rows[-1], [len(row[-1]) for row in rows[:-1] if len(row) == width]
        if len(last) != width or len(last[-1]) < min(others, default=1):
            rows = rows[:-1]
            damage.append(Damage("the last row is cut short", "the row is left out"))
        else:
            damage.append(Damage("the last row has no end of line", "used: its cells are complete"))
    complete = [row for row in rows if len(row) == width]
    if len(complete) < len(rows):
        what = f"{len(rows) - len(complete)} of {len(rows)} rows do not have the header's {width} cells"
        damage.append(Damage(what, "those rows are left out"))
    return complete


def _numbers(rows: list[list[str]], header: list[str], name: str, damage: list[Damage]) -> list[float]:
    """The column `name`, with NaN where a cell is no number. An empty cell is a NaN that was written."""
    column = header.index(name)
    cells = [row[column] for row in rows]
    texts = []
    try:
        values = list(map(float, cells))
    except ValueError:
        values = [_number(cell) for cell in cells]
        texts = [cell for cell, value in zip(cells, values, strict=True) if value is None and cell.strip()]
        values = [math.nan if value is None else value for value in values]
    if texts:
        what = f"text in {name}, in {len(texts)} of {len(rows)} rows, such as {texts[0][:40]!r}"
        damage.append(Damage(what, "those rows do not hit"))
    if odd := len(values) - sum(map(math.isfinite, values)) - len(texts):
        damage.append(Damage(f"NaN or infinity in {name}, in {odd} of {len(rows)} rows", "those rows do not hit"))
    return values


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _check_times(times: list[float], name: str, damage: list[Damage]) -> None:
    finite = list(filter(math.isfinite, times))
    if backwards := sum(map(operator.gt, finite, finite[1:])):
        damage.append(Damage(f"{name} goes backwards in {backwards} of {len(times)} rows", "the earliest hit counts"))
    if min(finite, default=1) <= 0:
        unusable = sum(seconds <= 0 for seconds in finite)
        damage.append(Damage(f"{name} is not above 0 in {unusable} of {len(times)} rows", "those rows do not hit"))
