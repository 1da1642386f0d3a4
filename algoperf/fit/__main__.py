"""`python -m algoperf.fit [SUBMISSION ...]`: finds out every cell anew and stores the figures; of JAX it takes hours.

Each is stored as it comes, so that what was interrupted goes on where `--missing` is said.
"""

import argparse
import dataclasses
from collections.abc import Iterator, Sequence

from algoperf.benchmark.facts import FRAMEWORKS
from algoperf.fit import accelerators, ask, measure, stored
from algoperf.fit.cells import Cell, Figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("submissions", nargs="*", default=[ask.SUBMISSION])
    parser.add_argument("--missing", action="store_true", help="only what is not stored yet, or not whole")
    asked = parser.parse_args()
    reasons = {framework: reason for framework in FRAMEWORKS if (reason := measure.cannot(framework))}
    for reason in reasons.values():
        print(reason)
    for submission in asked.submissions:
        cells = [cell for name in accelerators.known() for cell in ask.cells(name, submission=submission)]
        wanted = [cell for cell in cells if cell.framework not in reasons]
        for figures in found([cell for cell in wanted if not asked.missing or not _is_known(cell)]):
            stored.store([figures])
            print(figures.cell, figures.peaks, figures.failures, flush=True)


def _is_known(cell: Cell) -> bool:
    figures = stored.stored().get(cell)
    return figures is not None and figures.is_whole


def found(cells: Sequence[Cell]) -> Iterator[Figures]:
    """By shapes, devices differ only in how many of them share the batch: such cells are asked once."""
    alike: dict[Cell, list[Cell]] = {}
    for cell in cells:
        by_shapes = dataclasses.replace(cell, accelerator="")
        alike.setdefault(by_shapes if cell.framework == "pytorch" else cell, []).append(cell)
    for figures in measure.measured([same[0] for same in alike.values()]):
        same = next(same for same in alike.values() if same[0] == figures.cell)
        yield from (dataclasses.replace(figures, cell=cell) for cell in same)


if __name__ == "__main__":
    main()
