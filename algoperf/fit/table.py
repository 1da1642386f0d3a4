"""The figures of cells as people and programs read them."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from algoperf.fit.accelerators import Facts
from algoperf.fit.cells import PHASES, Figures, gib

HEADINGS = (
    *("workload", "framework", "fits", "train", "evaluation", "restore", "of"),
    *("waits", "collectives", "compute ms", "memory ms", "moved / needed"),
)
_OF_STEP = 7  # the first heading of what a step does
_WORDS = {True: "yes", False: "NO", None: "?"}


def cells(figures: Figures, facts: Facts, found: Sequence[Figures]) -> list[str]:
    """One row, in the order of `HEADINGS`. found: among them its twin, which knows what the model needs to move."""
    told = figures.cell
    peaks = [gib(figures.peaks[phase]) if phase in figures.peaks else "-" for phase in PHASES]
    of_step = ["-"] * 5
    if "train" in figures.peaks:
        needed = _needed(figures, found)
        of_step = [
            str(sum(figures.waits.values())),
            str(figures.collectives),
            f"{1e3 * figures.compute_seconds(facts):.0f}",
            f"{1e3 * figures.memory_seconds(facts):.0f}",
            f"{figures.moved / needed:.1f}" if needed else "-",
        ]
    fits = _WORDS[figures.fits(facts)]
    return [told.workload, told.framework, fits, *peaks, gib(facts.room(told.framework)), *of_step]


def _needed(figures: Figures, found: Sequence[Figures]) -> float:
    """XLA's compiler does not tell it: the model is the same one as PyTorch's."""
    twin = dataclasses.replace(figures.cell, framework="pytorch")
    return figures.needed or next((other.needed for other in found if other.cell == twin), 0.0)


def print_table(found: Sequence[Figures], facts: Facts, console: Console) -> None:
    """Of one accelerator, in two parts: what it holds, and what a step does."""
    cell = found[0].cell
    rows = [cells(figures, facts, found) for figures in found]
    where = f"{cell.count} x {cell.accelerator}, {cell.submission}"
    of_memory, of_step = slice(0, _OF_STEP), [0, 1, *range(_OF_STEP, len(HEADINGS))]
    console.print(_part(f"{where}: GiB on each", HEADINGS[of_memory], [row[of_memory] for row in rows]))
    console.print(
        _part(f"{where}: a training step", [HEADINGS[i] for i in of_step], [[row[i] for i in of_step] for row in rows])
    )
    for line in remarks(found):
        console.print(line, markup=False, soft_wrap=True)


def _part(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        is_name = heading == HEADINGS[0]
        table.add_column(heading, justify="left" if heading in HEADINGS[:3] else "right", no_wrap=is_name)
    for row in rows:
        table.add_row(*row)
    return table


def remarks(found: Sequence[Figures]) -> Iterator[str]:
    """Why a phase has no number, and where the host waits."""
    for figures in found:
        name = f"{figures.cell.workload} in {figures.cell.framework}"
        for phase, reason in figures.failures.items():
            yield f"{name}, {phase}: {reason}"
        for line, times in figures.waits.items():
            yield f"{name} waits {times} x a step: {line}"


def as_dict(figures: Figures, facts: Facts) -> dict[str, Any]:
    """For JSON: bytes and seconds."""
    return {
        **dataclasses.asdict(figures.cell),
        "fits": figures.fits(facts),
        "room": facts.room(figures.cell.framework),
        **{name: value for name, value in dataclasses.asdict(figures).items() if name != "cell"},
        "compute_seconds": figures.compute_seconds(facts),
        "memory_seconds": figures.memory_seconds(facts),
    }
