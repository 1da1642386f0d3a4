"""What a trial's evaluations say of it, read from a file that may be half written or damaged."""

import dataclasses
import math
from pathlib import Path

from algoperf.benchmark.facts import Target

_STEP, _CHARGED = "global_step", "accumulated_submission_time"
_FREE = ("accumulated_eval_time", "accumulated_logging_time")


@dataclasses.dataclass(frozen=True)
class Curve:
    """Of all whole rows. global_step, charged, free (seconds of evaluating, logging and saving): at the last one.

    first, best: values of the target's metric on the validation split. None where no row says it; foreign logs, for
    example, do not say what was free.
    """

    evaluations: int = 0
    global_step: int | None = None
    charged: float | None = None
    free: float | None = None
    first: float | None = None
    best: float | None = None

    def share_of_way(self, target: Target) -> float | None:
        """How far the best value has come from the first one to the target, in [0, 1]; None without a value."""
        if self.first is None or self.best is None:
            return None
        if target.reached(self.best, "validation"):
            return 1.0
        return max(0.0, min(1.0, (self.best - self.first) / (target.validation - self.first)))


def read_curve(path: Path, target: Target) -> Curve:
    """Never raises: what cannot be read is not part of the curve."""
    try:
        # The last line may be half written at this moment.
        lines = path.read_text("utf-8", errors="replace").rpartition("\n")[0].split("\n")
        header = lines[0].split(",")
        step_column, charged_column, metric_column = map(header.index, (_STEP, _CHARGED, target.column(header)))
    except (OSError, ValueError):
        return Curve()
    free_columns = [header.index(name) for name in _FREE if name in header]
    last, values = None, []
    num_rows = 0
    for line in lines[1:]:  # of numbers alone, so that no comma is quoted
        row = line.split(",")
        try:
            step, charged, value = int(row[step_column]), float(row[charged_column]), float(row[metric_column])
        except (ValueError, IndexError):
            continue
        if not math.isfinite(charged):
            continue
        num_rows += 1
        last = step, charged, row
        if math.isfinite(value):
            values.append(value)
    if last is None:
        return Curve()
    step, charged, row = last
    best = (min if target.goal == "min" else max)(values, default=None)
    return Curve(num_rows, step, charged, _sum(row, free_columns), values[0] if values else None, best)


def _sum(row: list[str], columns: list[int]) -> float | None:
    try:
        total = sum(float(row[column]) for column in columns)
    except (ValueError, IndexError):
        return None
    return total if columns and math.isfinite(total) else None
