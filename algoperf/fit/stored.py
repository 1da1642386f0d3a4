"""The figures that came with this program, so that a plan knows them at once; `python -m algoperf.fit` makes them."""

import dataclasses
import functools
import json
from collections.abc import Iterable
from pathlib import Path

from algoperf.benchmark.registry import base_of
from algoperf.fit.accelerators import Facts
from algoperf.fit.cells import Cell, Figures, figures, gib
from algoperf.records.atomic import write_atomically

FILE = Path(__file__).with_name("figures.jsonl")


@functools.cache
def stored() -> dict[Cell, Figures]:
    return {found.cell: found for found in map(figures, map(json.loads, FILE.read_text("utf-8").splitlines()))}


def of(cell: Cell) -> Figures | None:
    """Those of a cell; of a variant that has none, those of its workload. None where there are neither."""
    known = stored()
    return known.get(cell) or known.get(dataclasses.replace(cell, workload=base_of(cell.workload)))


def store(found: Iterable[Figures]) -> None:
    """Adds figures, in the place of older ones of the same cells."""
    known = {**stored(), **{entry.cell: entry for entry in found}}
    ordered = sorted(known.values(), key=lambda entry: dataclasses.astuple(entry.cell))
    lines = [f"{json.dumps(dataclasses.asdict(entry), sort_keys=True)}\n" for entry in ordered]
    write_atomically(FILE, "".join(lines).encode())
    stored.cache_clear()


@dataclasses.dataclass(frozen=True)
class Outlook:
    """Of a plan's cells. unfit: a sentence for each that does not fit. unknown: those that nothing is known of."""

    unfit: list[str]
    unknown: list[Cell]
    fitting: int


def outlook(cells: Iterable[Cell], facts: Facts) -> Outlook:
    """What is stored of cells on one accelerator."""
    unfit, unknown, fitting = [], [], 0
    for cell in cells:
        found = of(cell)
        fits = None if found is None else found.fits(facts)
        if fits is None:
            unknown.append(cell)
        elif fits:
            fitting += 1
        else:
            unfit.append(_sentence(cell, found, facts))
    return Outlook(unfit, unknown, fitting)


def _sentence(cell: Cell, found: Figures, facts: Facts) -> str:
    name = f"{cell.workload} with {cell.submission} in {cell.framework}"
    if found.failures:
        phase, why = next(iter(found.failures.items()))
        what = f"fails on {cell.count} x {cell.accelerator}, {phase}: {why}"
    else:
        phase, peak = max(found.peaks.items(), key=lambda item: item[1])
        what = (
            f"does not fit into {cell.count} x {cell.accelerator}: {phase} takes {gib(peak)} GiB of "
            f"{gib(facts.room(cell.framework))} on each"
        )
    return f"{name} {what} (found {found.made}, {found.code}); `algoperf fit` looks again."
