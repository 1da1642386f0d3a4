"""The files of a trial in the official layout, append-only or written in one piece."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import SubmissionError
from algoperf.records.atomic import write_atomically

EVALUATIONS = "eval_measurements.csv"
RESULT = "result.json"
ERRORS = "error.log"


class Table:
    """A CSV file that grows by rows. A row with new columns rewrites the file once; all others are appended."""

    def __init__(self, path: Path, rows: Sequence[Mapping[str, Any]] = ()):
        """Begins with `rows`: those of the checkpoint from which a trial goes on, whatever the file held beyond it."""
        self._path, self._first_rows = path, rows
        self._columns: list[str] | None = None

    def begin(self) -> None:
        """Writes the file; before, and before the first `append`, nothing is written."""
        if self._columns is None:
            self._rewrite(self._first_rows)

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Adds rows and flushes them to the disk."""
        self.begin()
        if any(column not in self._columns for row in rows for column in row):
            self._rewrite([*self._read(), *rows])
            return
        with self._path.open("a", newline="") as file:
            file.write(self._as_csv(rows))
            file.flush()
            os.fsync(file.fileno())

    def _rewrite(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._columns = sorted({column for row in rows for column in row})
        header = self._as_csv([dict(zip(self._columns, self._columns, strict=True))]) if self._columns else ""
        write_atomically(self._path, (header + self._as_csv(rows)).encode())

    def _read(self) -> list[dict[str, str]]:
        with self._path.open(newline="") as file:
            return list(csv.DictReader(file))

    def _as_csv(self, rows: Sequence[Mapping[str, Any]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self._columns, lineterminator="\n").writerows(rows)
        return text.getvalue()


class MetricsLogger:
    """Takes a submission's training metrics while the clock runs, and writes them only when it has stopped.

    The values may be device arrays: they are not looked at before `flush`, so logging waits for no device. Without a
    table it takes none: only the first of a trial's processes keeps a record.
    """

    def __init__(self, table: Table | None):
        self._table = table
        self._pending: list[dict[str, Any]] = []
        self.muted = table is None

    def append_scalar_metrics(self, metrics: Mapping[str, Any], global_step: int) -> None:
        """metrics: name -> a number, or an array of one."""
        if not self.muted:
            self._pending.append({"global_step": global_step, **metrics})

    def flush(self) -> None:
        """Raises SubmissionError where a metric is no number."""
        rows = [{name: _number(name, value) for name, value in row.items()} for row in self._pending]
        self._pending.clear()
        if rows:
            self._table.append([{**row, "global_step": int(row["global_step"])} for row in rows])


def _number(name: str, value: Any) -> float:
    if getattr(value, "shape", ()) not in ((), (1,)):
        raise SubmissionError(f"the submission logged {name!r}, which is no number but of shape {tuple(value.shape)}.")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise SubmissionError(f"the submission logged {name!r}, which is no number: {error}.") from error
