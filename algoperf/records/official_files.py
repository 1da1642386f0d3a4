"""The files of a trial in the official layout, append-only or written in one piece."""

import csv
import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf.records import atomic

EVALUATIONS = "eval_measurements.csv"
RESULT = "result.json"
REACHED = "reached.json"  # of a trial that is raced: its time to target, while it goes on to its test target
ERRORS = "error.log"


class Table:
    """A CSV file that grows by rows. A row with new columns rewrites the file once; all others are appended."""

    def __init__(self, path: Path, rows: Sequence[Mapping[str, Any]] = ()):
        """Begins with `rows`: those of the checkpoint from which a trial goes on, whatever the file held beyond it."""
        self._path, self._first_rows = path, rows
        self._columns: list[str] | None = None

    def begin(self) -> None:
        """Writes the file where it is another; before, and before the first `append`, nothing is written."""
        if self._columns is None:
            self._rewrite(self._first_rows)

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Adds rows and flushes them to the disk."""
        self.begin()
        if any(column not in self._columns for row in rows for column in row):
            self._rewrite([*whole_rows(self._path), *rows])
            return
        with self._path.open("a", encoding="utf-8", newline="") as file:
            file.write(self._as_csv(rows))
            file.flush()
            atomic.flush(file.fileno())

    def _rewrite(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._columns = sorted({column for row in rows for column in row})
        header = self._as_csv([dict(zip(self._columns, self._columns, strict=True))]) if self._columns else ""
        content = (header + self._as_csv(rows)).encode()
        if not self._path.is_file() or self._path.read_bytes() != content:
            atomic.write_atomically(self._path, content)

    def _as_csv(self, rows: Sequence[Mapping[str, Any]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self._columns, lineterminator="\n").writerows(rows)
        return text.getvalue()


def whole_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table, those aside that a kill or a full disk has left in pieces: the end, after the last line."""
    lines, _, _ = path.read_bytes().decode(errors="replace").rpartition("\n")
    rows = csv.DictReader(io.StringIO(lines, newline=""))
    return [row for row in rows if None not in row and None not in row.values()]


@dataclasses.dataclass(frozen=True)
class _Refused:
    """In place of a metric. why: it is no number."""

    why: str


class MetricsLogger:
    """Takes a submission's training metrics while the clock runs, and writes them only when it has stopped.

    Without a table it takes none: only the first of a trial's processes keeps a record.

    snapshot: `Backend.snapshot`. Arrays of a device are copied, for the next step may donate or change them, and not
    looked at before `flush`, so logging waits for no device. Anything else is asked for its number at once.
    """

    def __init__(self, table: Table | None, snapshot: Callable[[Any], Any]):
        self._table, self._snapshot = table, snapshot
        self._pending: list[dict[str, Any]] = []
        self._told: set[str] = set()
        self.muted = table is None

    def append_scalar_metrics(self, metrics: Mapping[str, Any], global_step: int) -> None:
        """metrics: name -> a number, or an array of one; of the name `global_step` the other argument's counts."""
        if not self.muted:
            row = {_printable(str(name)): self._taken(value) for name, value in metrics.items()}
            self._pending.append({**row, "global_step": int(global_step)})

    def flush(self) -> list[str]:
        """Writes what was logged. A metric that is no number is left out; a sentence for each name of such, once."""
        pending, self._pending = self._pending, []
        rows, sentences = [], {}
        for metrics in pending:
            numbers = {name: _number(value) for name, value in metrics.items()}
            refused = {name: number for name, number in numbers.items() if isinstance(number, _Refused)}
            sentences |= {
                name: f"the submission logged {name!r}, which is no number ({refusal.why}); it is left out."
                for name, refusal in refused.items()
                if name not in self._told
            }
            self._told |= set(refused)
            rows.append({name: number for name, number in numbers.items() if name not in refused})
        if rows:
            self._table.append([{**row, "global_step": int(row["global_step"])} for row in rows])
        return list(sentences.values())

    def _taken(self, value: Any) -> Any:
        try:
            shape = tuple(getattr(value, "shape", ()))
            if shape not in ((), (1,)):
                return _Refused(f"its shape is {shape}")
            copied = self._snapshot(value)
            return _number(value) if copied is None else copied
        except Exception as error:
            return _Refused(f"{type(error).__name__}: {error}")


def _number(value: Any) -> Any:
    """A float, or why there is none: a submission may log whatever it likes."""
    if isinstance(value, _Refused):
        return value
    try:
        return float(value.reshape(()) if getattr(value, "shape", ()) else value)
    except Exception as error:
        return _Refused(f"{type(error).__name__}: {error}")


def _printable(name: str) -> str:
    """A name that stays within its cell: line ends and the like are written as Python writes them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
