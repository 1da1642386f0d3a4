"""`report.html`: the scoring on one page that needs nothing but itself, in the order in which a reader asks.

Who won, how sure that is, why, how much faster, how close the misses were, what it cost, the curves, the evidence, how
to cite. What the page is made of (`markup.py`, `document.py`) other pages are made of, too.
"""

from collections.abc import Mapping

from scoring.page import (
    certainty,
    citing,
    closeness,
    cost,
    curves,
    leaderboard,
    origins,
    profile,
    speedups,
    times,
)
from scoring.page.document import Section, document
from scoring.page.markup import Context, text
from scoring.result import Result
from scoring.tables.tables import CsvTable

# What of the summary stands at the top -> its name where it is one.
_TILES = {
    "submissions": "submission",
    "workloads": "workload",
    "held-out workloads": "held-out workload",
    "studies": "study",
    "trials with evaluations": "trial with evaluations",
    "evaluations": "evaluation",
}
_READINGS = {
    "as-documented": "a study counts by its earliest hit, and the profile is integrated exactly",
    "as-published": "a study counts by the trial whose hit has the lowest row number, and the profile is integrated "
    "over 100 points, as on the published leaderboards",
}


def page(result: Result, tables: Mapping[str, CsvTable], picture: bytes, folder: str = "") -> str:
    """The whole document. picture: the profile as SVG. folder: of the own logs, from where the page lies; or empty."""
    context = Context(result, tables, folder)
    sections = (
        Section("leaderboard", "Who won", leaderboard.section(context)),
        Section("profile", "Profile", profile.section(context, picture)),
        Section("ranks", "How sure", certainty.ranks_section(context)),
        Section("times", "Why", times.section(context)),
        Section("speedups", "How much faster", speedups.section(context)),
        Section("closeness", "How close", closeness.section(context)),
        Section("cost", "What it cost", cost.section(context)),
        Section("curves", "Curves", curves.section(context)),
        Section("evidence", "Evidence", origins.section(context)),
        Section("cite", "How to cite", citing.section(context)),
    )
    title = f"{result.title} ({result.caveat})" if result.caveats else result.title
    foot = (
        "The rules: Dahl et al. 2023, <i>Benchmarking Neural Network Training Algorithms</i>, arXiv 2306.07179, "
        "section 4. All tables lie as csv beside this file, and are in it: the links below each section."
    )
    return document(title, _head(context), sections, foot)


def _head(context: Context) -> str:
    result, reading = context.result, context.result.scores.reading
    counts = dict(context.tables["summary"].rows)
    tiles = "".join(
        f"<div><b>{counts[what]:,}</b> <span>{text(one if counts[what] == 1 else what)}</span></div>"
        for what, one in _TILES.items()
        if counts[what]
    )
    caveats = "".join(f'<p class="caveat">{text(caveat)}</p>' for caveat in result.caveats)
    racing = f"<p>{text(result.racing)}.</p>" if result.racing else ""
    return (
        f"<h1>{text(result.title)}</h1>\n{caveats}"
        f"<p>How fast does each training algorithm bring each workload to its target? Logs: "
        f"<code>{text(result.source)}</code>. Reading <b>{text(reading)}</b>: {_READINGS[reading]}. Times are charged "
        f'seconds, evaluations left out.</p>\n{racing}<div class="tiles">{tiles}</div>'
    )
