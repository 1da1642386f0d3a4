"""Why: time to target with the reason of each loss, the studies behind it, and how much of the budget it was."""

import math
from collections.abc import Sequence

from algoperf.records.words import counted
from scoring.page.markup import (
    Context,
    attribute,
    cell,
    curve_cell,
    duration,
    folded,
    name_cell,
    row,
    table,
    text,
)
from scoring.page.markup import section as as_section
from scoring.rules.score import Cell
from scoring.rules.studies import Study, used_budget


def section(context: Context) -> str:
    protocol = context.result.scores.protocol
    body = _times(context, protocol.workloads)
    if protocol.held_out:
        words = "They give no points; a submission that misses one loses its base workload."
        body += f"<h3>Held-out workloads</h3><p>{words}</p>{_times(context, protocol.held_out)}"
    budget = "\n".join(_shares(context, names) for names in (protocol.workloads, protocol.held_out) if names)
    body += folded(
        "Fraction of the budget that was used",
        "<p>The charged time until the target was reached, as a part of what the protocol allows, or the steps, where "
        f"these end its trials; before any rule takes the workload away.</p>{budget}",
    )
    body += folded("Each study, and the trial that set its time", _studies(context))
    return as_section(
        "times",
        "Why: time to target",
        "Charged seconds until the target, the median over the studies; what is shaded is lost, and says why.",
        body,
        [context.tables[name] for name in ("time_to_target", "reasons", "budget", "studies")],
        reading="Below a time its multiple of the fastest submission's. A cell leads to its curves.",
    )


def _times(context: Context, names: Sequence[str]) -> str:
    rows = [
        row(
            [
                name_cell(place, standing.submission),
                *(_time(standing.cells[name], name, place) for name in names),
            ],
            place,
        )
        for place, standing in enumerate(context.result.scores.standings)
    ]
    facts = ("", *(_facts(context, name) for name in names))
    return table(("submission", *names), rows, facts, "matrix", label="Times to target")


def _facts(context: Context, name: str) -> str:
    """A workload's target and budget, under its name."""
    return f"{target_words(context, name)}, within {_end(context, name)}"


def target_words(context: Context, name: str) -> str:
    target = context.result.targets[name]
    sign = "≤" if target.goal == "min" else "≥"
    return f"{target.metric.replace('_', ' ')} {sign} {target.validation:g}"


def _end(context: Context, name: str) -> str:
    """With what a trial ends: seconds, or the steps where the protocol goes by them."""
    max_steps = context.result.max_steps[name]
    return duration(context.result.budgets[name]) if max_steps is None else f"{max_steps:,} steps"


def _time(found: Cell, name: str, place: int) -> str:
    if not found.lost:
        style = "number best" if found.ratio == 1 else "number"
        return curve_cell(duration(found.time), name, place, style, f"{found.ratio:.2f}x")
    own = f"own time {duration(found.time)}" if math.isfinite(found.time) else ""
    return curve_cell(found.lost, name, place, "lost", "; ".join(part for part in (found.why, own) if part))


def _shares(context: Context, names: Sequence[str]) -> str:
    rows = []
    for place, standing in enumerate(context.result.scores.standings):
        shares = (_share(context, standing.cells[name], name) for name in names)
        rows.append(row([name_cell(place, standing.submission), *shares], place))
    facts = ("", *(_end(context, name) for name in names))
    return table(("submission", *names), rows, facts, "matrix", label="Fraction of the budget")


def _share(context: Context, found: Cell, name: str) -> str:
    if not math.isfinite(found.time):
        return cell(found.lost, "lost")
    fraction = used_budget(found, context.result.budgets[name], context.result.max_steps[name])
    if math.isnan(fraction):
        return cell("no steps", "lost")
    style = f"background-size:{min(100, 100 * fraction):.1f}% 100%"
    lost = " own" if found.lost else ""
    return f'<td class="number share{lost}" style="{style}">{100 * fraction:.0f} %</td>'


def _studies(context: Context) -> str:
    protocol = context.result.scores.protocol
    names = (*protocol.workloads, *protocol.held_out)
    rows = []
    for place, submission in enumerate(context.submissions):
        cells = (_of_studies(context.result.studies.get((submission, name), ()), context) for name in names)
        rows.append(row([name_cell(place, submission), *cells], place))
    return table(
        ("submission", *names), rows, style="matrix studies", label="Times of the studies", caption="Charged seconds"
    )


def _of_studies(studies: Sequence[Study], context: Context) -> str:
    """A line for each study; where the protocol tunes, with the number of its best trial."""
    several = context.result.scores.protocol.num_trials(context.result.ruleset) > 1
    lines = []
    for study in studies:
        words = f"{study.time:,.0f}" if study.best else "missed" if study.counted else "no trial"
        best = (
            f" <small>trial {text(study.best.trial.removeprefix('trial_'))}</small>" if study.best and several else ""
        )
        told = f"{study.study}: {counted(study.counted, 'trial')} of {len(study.trials)} with evaluations"
        lines.append(f'<span title="{attribute(told)}">{words}{best}</span>')
    return f'<td class="number">{"<br>".join(lines)}</td>'
