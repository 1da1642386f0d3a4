"""What a person sees of a dry run: a table that grows, and what is being done now."""

import time
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from algoperf.benchmark.facts import Framework
from algoperf.dry_run.check import Row, check

_STYLES = {"ok": "green", "wrong": "red", "missing": "yellow"}
_MIB = 2**20


class _Display:
    """Everything so far, and below it a line that shows that something is going on."""

    def __init__(self, title: str):
        self.rows: list[Row] = []
        self._title, self._doing, self._since = title, "", time.monotonic()
        self._spinner = Spinner("dots")

    def progress(self, doing: str) -> None:
        self._doing, self._since = doing, time.monotonic()

    def __rich__(self) -> RenderableType:
        if not self._doing:
            return self.table()
        self._spinner.update(text=f"{self._doing} ({time.monotonic() - self._since:.0f} s)")
        return Group(self.table(), self._spinner)

    def table(self) -> Group:
        """The table, and below it what is to be said of single workloads."""
        table = Table(title=self._title, title_justify="left")
        memory = next((f"memory of the {row.memory_of}" for row in self.rows if row.memory is not None), "memory")
        for column in ("workload", "outcome"):
            table.add_column(column, no_wrap=True)
        for column in ("first step", "second step", memory):
            table.add_column(column, justify="right")
        for row in self.rows:
            outcome = Text(row.outcome, style=_STYLES[row.outcome])
            table.add_row(row.workload, outcome, _seconds(row.first_step), _seconds(row.second_step), _memory(row))
        said = [
            Text.assemble((row.workload, _STYLES[row.outcome]), f": {sentence}")
            for row in self.rows
            for sentence in row.sentences
        ]
        return Group(table, *said)


def show(
    submission: str,
    framework: Framework,
    workloads: list[str],
    data_dir: Path,
    console: Console,
    search_space: Path | None = None,
    strict_requirements: bool = False,
) -> int:
    """Runs `dry_run.check` and shows what comes: on a terminal in one place, else a line for each step and the table.

    Returns the exit code: 1 where something is wrong. Data that are missing are not the submission's fault.
    """
    display = _Display(f"{submission} in {framework}, mini scale")
    asked = (submission, framework, workloads, data_dir)
    further = (search_space, strict_requirements)
    if console.is_terminal:
        with Live(display, console=console):
            for row in check(*asked, display.progress, *further):
                display.rows.append(row)
            display.progress("")
    else:
        for row in check(*asked, lambda doing: console.print(doing, markup=False), *further):
            display.rows.append(row)
        console.print(display.table(), soft_wrap=True)
    return int(any(row.outcome == "wrong" for row in display.rows))


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f} s"


def _memory(row: Row) -> str:
    return "" if row.memory is None else f"{row.memory / _MIB:,.0f} MiB"
