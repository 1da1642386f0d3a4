"""One trial's `eval_measurements.csv`, in whatever state it is -> when it hit its target, and what is wrong with it."""

import csv
import dataclasses
import io
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

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
        table = _table(data, damage)
        metric = target.column(table)
        curve = _curve(table, metric, damage)
    except _UnusableError as error:
        return unreadable(str(error), damage)
    hits = {}
    if rows := _hits(curve.times, curve.values, target.validation, target.goal):
        hits = dict(
            hit_time=min(curve.times[row] for row in rows),
            hit_row=rows[0],
            hit_row_time=curve.times[rows[0]],
            hit_step=curve.steps[rows[0]] if curve.steps else math.nan,
        )
    return Evaluations(
        rows=len(curve.times),
        damage=tuple(damage),
        curve=curve,
        test_time=_test_time(table, metric, target, curve.times),
        eval_time=_last(table.get("accumulated_eval_time", ())),
        total_time=_last(table.get("total_duration", ())),
        **hits,
    )


def unreadable(what: str, before: Iterable[Damage] = ()) -> Evaluations:
    """What is known of a trial without a usable csv."""
    return Evaluations(damage=(*before, Damage(what, "the trial is left out")))


def _table(data: bytes, damage: list[Damage]) -> dict[str, Sequence[str]]:
    """Each column's cells in the complete rows, by its name; of a name that is there twice, the first column's."""
    if data.startswith(_LFS_POINTER):
        raise _UnusableError("a Git-LFS pointer instead of the csv")
    text = data.decode("utf-8-sig", errors="replace")
    lines = _lines(text)
    if not lines:
        raise _UnusableError("an empty csv")
    header = [name.strip() for name in lines[0]]
    rows = _complete_rows(lines[1:], len(header), text.endswith(("\n", "\r")), damage)
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    return dict(zip(reversed(header), reversed(columns), strict=True))


def _curve(table: Mapping[str, Sequence[str]], metric: str, damage: list[Damage]) -> Curve:
    """Charged seconds, steps and the column `metric` of each evaluation; what is wrong with them is added to `damage`.

    Not so of the steps: no score is made of them, and many logs have none.
    """
    time = next((name for name in TIME_COLUMNS if name in table), TIME_COLUMNS[0])
    for name in (time, metric):
        if name not in table:
            raise _UnusableError(f"the csv has no column {name}")
    if not table[time]:
        raise _UnusableError("a csv without a row of evaluations")
    times, values = _numbers(table[time]), _numbers(table[metric])
    _check_numbers(times, table[time], time, damage)
    _check_numbers(values, table[metric], metric, damage)
    _check_times(times, time, damage)
    if len(times) == 1:
        damage.append(Damage("a single evaluation", "used as it is"))
    return Curve(times, _numbers(table.get("global_step", ())), values)


def _hits(times: Sequence[float], values: Sequence[float], target: float, goal: str) -> list[int]:
    """The rows whose values meet a target, each at a time that can count."""
    # As `Target.reached`, whose calls are many here.
    if goal == "min":
        met = [row for row, value in enumerate(values) if -math.inf < value <= target]
    else:
        met = [row for row, value in enumerate(values) if target <= value < math.inf]
    return [row for row in met if 0 < times[row] < math.inf]


def _test_time(table: Mapping[str, Sequence[str]], metric: str, target: Target, times: Sequence[float]) -> float:
    column = metric.replace("validation/", "test/", 1)
    if target.test is None or column not in table:
        return math.nan
    rows = _hits(times, _numbers(table[column]), target.test, target.goal)
    return min((times[row] for row in rows), default=math.inf)


def _last(cells: Sequence[str]) -> float:
    """The number of the last cell that has one above or at 0; NaN where none has."""
    return next((number for cell in reversed(cells) if 0 <= (number := _number(cell)) < math.inf), math.nan)


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


def _numbers(cells: Sequence[str]) -> list[float]:
    """A column, with NaN where a cell is no number."""
    try:
        return list(map(float, cells))
    except ValueError:
        return [_number(cell) for cell in cells]


def _number(cell: str, otherwise: Any = math.nan) -> Any:
    try:
        return float(cell)
    except ValueError:
        return otherwise


def _check_numbers(numbers: Sequence[float], cells: Sequence[str], name: str, damage: list[Damage]) -> None:
    """An empty cell is a NaN that was written."""
    if math.isfinite(sum(numbers)):  # so are all of them
        return
    of = f"{len(cells)} rows"
    texts = [cell for cell in cells if cell.strip() and _number(cell, None) is None]
    if texts:
        what = f"text in {name}, in {len(texts)} of {of}, such as {texts[0][:40]!r}"
        damage.append(Damage(what, "those rows do not hit"))
    if odd := len(numbers) - sum(map(math.isfinite, numbers)) - len(texts):
        damage.append(Damage(f"NaN or infinity in {name}, in {odd} of {of}", "those rows do not hit"))


def _check_times(times: list[float], name: str, damage: list[Damage]) -> None:
    finite = list(filter(math.isfinite, times))
    if backwards := sum(map(operator.gt, finite, finite[1:])):
        damage.append(Damage(f"{name} goes backwards in {backwards} of {len(times)} rows", "the earliest hit counts"))
    if min(finite, default=1) <= 0:
        unusable = sum(seconds <= 0 for seconds in finite)
        damage.append(Damage(f"{name} is not above 0 in {unusable} of {len(times)} rows", "those rows do not hit"))
