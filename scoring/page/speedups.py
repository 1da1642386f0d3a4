"""How many times as fast each submission is as each other one."""

import math

from scoring.page.markup import Context, cell, name_cell, row, table
from scoring.page.markup import section as as_section
from scoring.rules.comparison import Pair


def section(context: Context) -> str:
    """Empty where there is nobody to compare with."""
    if not context.result.pairs:
        return ""
    pairs = {(pair.submission, pair.to): pair for pair in context.result.pairs}
    intervals = context.result.uncertainties[0].duels.ratios
    rows = [
        row(
            [
                name_cell(place, name),
                *(
                    _cell(pairs.get((name, other)), *intervals[:, place, column])
                    for column, other in enumerate(context.submissions)
                ),
            ],
            place,
        )
        for place, name in enumerate(context.submissions)
    ]
    return as_section(
        "speedups",
        "Speed-ups between all pairs",
        "How many times as fast the row's submission is as the column's, in charged time: the geometric mean over the "
        "workloads that both reach, whose number stands below, with the 95 % interval, and the same in steps. "
        "Above 1 the row is the faster. "
        "Steps compare on any hardware, but one submission's step may cost several of another's.",
        table(("", *context.submissions), rows, style="matrix speedups"),
        [context.tables["time_ratios"], context.tables["steps_to_target"]],
        note="a speed-up is 1 / time_ratio",
    )


def _cell(pair: Pair | None, low: float, high: float) -> str:
    """low, high: of the ratio of times, NaN where nothing was drawn."""
    if pair is None:
        return '<td class="self"></td>'
    if math.isnan(pair.time_ratio):
        return cell("none", "lost", "no workload that both reach")
    faster = 1 / pair.time_ratio
    # A factor of two, either way, is the full colour.
    strength = min(1, abs(math.log2(faster)))
    interval = "" if math.isnan(low) else f"<br>{1 / high:.2f} to {1 / low:.2f}"
    steps = "" if math.isnan(pair.step_ratio) else f"<br>steps {1 / pair.step_ratio:.2f}x"
    color = "faster" if faster >= 1 else "slower"
    return (
        f'<td class="number heat {color}" style="--p:{45 * strength:.0f}%">{faster:.2f}x'
        f"<small>{pair.workloads} workloads{interval}{steps}</small></td>"
    )
