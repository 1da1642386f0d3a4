"""Time to target with the reason of each loss, and how much of the budget it was."""

import math
from collections.abc import Sequence

from algoperf.benchmark.registry import load_spec
from scoring.page.markup import Context, cell, duration, name_cell, row, table
from scoring.page.markup import section as as_section
from scoring.rules.score import Cell
from scoring.rules.studies import used_budget
from scoring.tables.tables import max_steps_of


def section(context: Context) -> str:
    return as_section(
        "times",
        "Time to target",
        "Charged seconds, the median over the studies; below, the multiple of the fastest submission's. A shaded "
        "workload is lost, and says why.",
        _times(context, context.result.scores.protocol.workloads),
        [context.tables["time_to_target"], context.tables["reasons"]],
    )


def held_out_section(context: Context) -> str:
    """Empty where the protocol has none."""
    held_out = context.result.scores.protocol.held_out
    if not held_out:
        return ""
    return as_section(
        "held-out",
        "Held-out workloads",
        "They give no points; a submission that misses one loses its base workload.",
        _times(context, held_out),
        [context.tables["reasons"]],
    )


def budget_section(context: Context) -> str:
    protocol = context.result.scores.protocol
    return as_section(
        "budget",
        "Fraction of the budget used",
        "The charged time until the target was reached, as a part of what the protocol allows, or the steps, where "
        "these end its trials; before any rule takes the workload away.",
        "\n".join(_shares(context, names) for names in (protocol.workloads, protocol.held_out) if names),
        [context.tables["budget"]],
    )


def _shares(context: Context, names: Sequence[str]) -> str:
    rows = []
    for place, standing in enumerate(context.result.scores.standings):
        shares = (_share(context, standing.cells[name], name) for name in names)
        rows.append(row([name_cell(place, standing.submission), *shares], place))
    return table(("", *names), rows, ("", *(_end(context, name) for name in names)), "matrix")


def _times(context: Context, names: Sequence[str]) -> str:
    rows = [
        row([name_cell(place, standing.submission), *(_time(standing.cells[name]) for name in names)], place)
        for place, standing in enumerate(context.result.scores.standings)
    ]
    return table(("", *names), rows, ("", *(_facts(context, name) for name in names)), "matrix")


def _facts(context: Context, name: str) -> str:
    """A workload's target and budget, under its name."""
    target = load_spec(name, context.result.scores.protocol.scale).target
    sign = "≤" if target.goal == "min" else "≥"
    return f"{target.metric.replace('_', ' ')} {sign} {target.validation:g}, within {_end(context, name)}"


def _end(context: Context, name: str) -> str:
    """With what a trial ends: seconds, or the steps where the protocol goes by them."""
    max_steps = max_steps_of(context.result, name)
    return duration(context.result.budgets[name]) if max_steps is None else f"{max_steps:,} steps"


def _time(found: Cell) -> str:
    if not found.lost:
        return cell(duration(found.time), "number best" if found.ratio == 1 else "number", f"{found.ratio:.2f}x")
    own = f"own time {duration(found.time)}" if math.isfinite(found.time) else ""
    return cell(found.lost, "lost", "; ".join(part for part in (found.why, own) if part))


def _share(context: Context, found: Cell, name: str) -> str:
    if not math.isfinite(found.time):
        return cell("no data" if math.isnan(found.time) else "not reached", "lost")
    fraction = used_budget(found, context.result.budgets[name], max_steps_of(context.result, name))
    if math.isnan(fraction):
        return cell("no steps", "lost")
    style = f"background-size:{min(100, 100 * fraction):.1f}% 100%"
    lost = " own" if found.lost else ""
    return f'<td class="number share{lost}" style="{style}">{100 * fraction:.0f} %</td>'
