"""What it cost: hours, shares and accelerator-hours, seconds a step, and the target on test."""

import math
from collections.abc import Callable

from scoring.page.markup import Context, cell, duration, folded, name_cell, row, significant, table
from scoring.page.markup import section as as_section


def section(context: Context) -> str:
    tuning = {line[0]: line[1:] for line in context.tables["tuning"].rows}
    rows = [
        row([name_cell(place, name), *_hours(tuning[name])], place) for place, name in enumerate(context.submissions)
    ]
    header = ("submission", "trials", "charged", "wall", "evaluating", "accelerator-hours", "ran on", "with")
    facts = ("", "with evaluations", "hours", "hours", "share of wall", "wall times accelerators", "", "")
    return as_section(
        "cost",
        "What it cost",
        "All trials of a submission together: what the score charged for, and how long machines were held.",
        table(header, rows, facts, label="What each submission cost") + _per_step(context) + _on_test(context),
        [context.tables["tuning"], context.tables["cost"]],
        reading="The clock of the score stands still while a trial evaluates. Hours that a scheduler held a machine "
        "for between the sessions of a trial are in no log.",
    )


def _hours(line: tuple) -> list[str]:
    trials, charged, timed, wall, share, accelerator, hardware, software = line
    partly = f"of {timed} trials" if timed not in (0, trials) else ""
    return [
        cell(f"{trials:,}", "number"),
        cell(_number(charged, ",.1f"), "number"),
        cell(_number(wall, ",.1f"), "number", partly),
        cell(f"{100 * float(share):.0f} %" if share else "", "number"),
        cell(_number(accelerator, ",.0f"), "number"),
        cell(hardware or "not said", "machine"),
        cell(software or "not said", "software"),
    ]


def _number(shown: str, form: str) -> str:
    return f"{float(shown):{form}}" if shown else "not logged"


def _per_step(context: Context) -> str:
    """Empty where no step is logged."""
    column = context.tables["cost"].header.index("step_seconds")

    def step(line: tuple) -> str:
        return f"{significant(1_000 * float(line[column]), 4)}\N{NO-BREAK SPACE}ms" if line[column] else ""

    words = "<p>Charged time over steps, of all trials of a cell. Batch sizes differ: so do steps.</p>"
    return _matrix(context, "Charged milliseconds a step", words, step)


def _on_test(context: Context) -> str:
    """Empty where no target on test is logged."""
    column = context.tables["cost"].header.index("test_seconds")

    def met(line: tuple) -> str:
        time = float(line[column] or "nan")
        return "" if math.isnan(time) else duration(time) if math.isfinite(time) else "not met"

    words = (
        "<p>Charged seconds until the target on test was met, the median over the studies, each by its earliest trial. "
        "No score uses it.</p>"
    )
    return _matrix(context, "When the targets on test were met", words, met)


def _matrix(context: Context, summary: str, words: str, shown: Callable[[tuple], str]) -> str:
    protocol = context.result.scores.protocol
    names = (*protocol.workloads, *protocol.held_out)
    cells = {tuple(line[:2]): shown(line) for line in context.tables["cost"].rows}
    if not any(cells.values()):
        return ""
    rows = [
        row([name_cell(place, name), *(cell(cells.get((name, of), ""), "number") for of in names)], place)
        for place, name in enumerate(context.submissions)
    ]
    return folded(summary, words + table(("submission", *names), rows, style="matrix", label=summary))
