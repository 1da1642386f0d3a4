"""How close: what "not reached" leaves unsaid."""

from algoperf.records.words import counted
from scoring.page.markup import Context, curve_cell, name_cell, row, significant, table
from scoring.page.markup import section as as_section
from scoring.page.times import target_words
from scoring.rules.closeness import Closest

_FAR = 0.10  # of the target: what falls as short, or shorter, has the full colour


def section(context: Context) -> str:
    protocol = context.result.scores.protocol
    lead = (
        "By how much the median study falls short of the target, in percent of it; below, the best value of all "
        "trials, and how many studies reached the target."
    )
    if not context.result.closest:
        missing = '<p class="missing">These logs hold times to target only: how close a miss was is not known.</p>'
        return as_section("closeness", "How close", lead, missing, [])
    names = (*protocol.workloads, *protocol.held_out)
    rows = [
        row([name_cell(place, submission), *(_cell(context, submission, name, place) for name in names)], place)
        for place, submission in enumerate(context.submissions)
    ]
    facts = ("", *(target_words(context, name) for name in names))
    return as_section(
        "closeness",
        "How close",
        lead,
        table(("submission", *names), rows, facts, "matrix", label="Distance to the targets"),
        [context.tables["closest"]],
        reading="A target may well be met and the workload lost: by the 4x rule, or by a held-out workload.",
        note='of each trial: <a href="#curves">trials.csv</a>',
    )


def _cell(context: Context, submission: str, name: str, place: int) -> str:
    found = context.result.closest.get((submission, name))
    if found is None:
        return '<td class="lost">no data</td>'
    studies = f"{found.studies_reached} of {counted(found.studies, 'study')}".replace(" ", "\N{NO-BREAK SPACE}")
    best = f"best\N{NO-BREAK SPACE}{significant(found.best.value, 5)}"
    if found.gap <= 0:
        return curve_cell("met", name, place, "", f"{best}; {studies}")
    share = min(1.0, found.share / _FAR)
    return curve_cell(_short(found), name, place, "number heat slower", f"{best}; {studies}").replace(
        "<td", f'<td style="--p:{10 + 35 * share:.0f}%"', 1
    )


def _short(found: Closest) -> str:
    percent = 100 * found.share
    return f"{percent:.2f} % short" if percent < 10 else f"{percent:,.0f} % short"
