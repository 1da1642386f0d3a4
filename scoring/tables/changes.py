"""Two trees of results side by side, as tables.

changes.csv: of each submission its rank, score and interval in A and in B, each by itself; its scores in one field with
all of both; how likely B's is the higher one; and B's times and steps compared with A's, as geometric means over the
workloads that both reach. changed_cells.csv: of each submission in both trees and each workload, charged seconds and
steps at the target in A and in B before any rule of the score, why the workload is lost, and the ratios of B to A.
conditions.csv: what the trials were made under, and whether it is another.
"""

import math

from scoring.sides import Change, Sides
from scoring.tables.tables import CsvTable

_OF_A_SIDE = ("rank", "score", "low", "high", "together")


def change_tables(sides: Sides) -> dict[str, CsvTable]:
    """Name without `.csv` -> table."""
    made = (
        CsvTable(
            "changes.csv",
            "scoring.sides.Sides",
            (
                "submission",
                *(f"{name}_{side}" for side in "ab" for name in _OF_A_SIDE),
                *("p_b_better", "workloads", "time_ratio", "time_ratio_low", "time_ratio_high"),
                *("step_workloads", "step_ratio"),
            ),
            [_change(change) for change in sides.changes],
        ),
        CsvTable(
            "changed_cells.csv",
            "scoring.sides.Sides",
            (
                *("submission", "workload", "seconds_a", "seconds_b", "time_ratio", "steps_a", "steps_b", "step_ratio"),
                *("lost_a", "lost_b", "studies_a", "studies_b"),
            ),
            [
                (
                    *(submission, workload, *map(_number, (a.time, b.time, ratio(a.time, b.time)))),
                    *map(_number, (a.steps, b.steps, ratio(a.steps, b.steps))),
                    *(a.reason, b.reason, a.studies, b.studies),
                )
                for (submission, workload), (a, b) in sides.cells.items()
            ],
        ),
        CsvTable(
            "conditions.csv",
            "scoring.sides.Sides",
            ("what", "a", "b", "is_another"),
            [(one.what, one.a, one.b, "yes" if one.is_another else "no") for one in sides.conditions],
        ),
    )
    return {table.name.removesuffix(".csv"): table for table in made}


def ratio(a: float, b: float) -> float:
    """Of B to A; NaN where one of them has none."""
    return b / a if math.isfinite(a) and math.isfinite(b) else math.nan


def _change(change: Change) -> tuple:
    of_sides = []
    for standing, spread, together in (
        (change.a, change.spread_a, change.together_a),
        (change.b, change.spread_b, change.together_b),
    ):
        if standing is None:
            of_sides += [""] * len(_OF_A_SIDE)
        else:
            of_sides += [standing.rank, *map(_number, (standing.score, spread.low, spread.high, together))]
    pair = change.pair
    compared = [""] * 6
    if pair is not None:
        compared = [pair.workloads, *map(_number, (pair.time_ratio, change.low, change.high))]
        compared += [pair.step_workloads, _number(pair.step_ratio)]
    return (change.submission, *of_sides, _number(change.p_better), *compared)


def _number(value: float) -> str:
    """inf: not reached; empty: no data."""
    return "" if math.isnan(value) else f"{value:.6f}".rstrip("0").rstrip(".")
