"""Who won: rank, whose it is, score, how many workloads count, and why the others are lost."""

import math
from collections.abc import Iterable, Mapping

from scoring.certainty.uncertainty import Spread
from scoring.page.certainty import interval, rank_interval, spreads
from scoring.page.markup import Context, attribute, cell, fill, name_cell, row, style_of, table, text
from scoring.page.markup import section as as_section
from scoring.rules.score import Cell, Standing
from scoring.tables.leaderboard import thin


def section(context: Context) -> str:
    drawn = spreads(context)
    rows = [
        row(_cells(context, place, standing, drawn.get(standing.submission)), place)
        for place, standing in enumerate(context.result.scores.standings)
    ]
    header = ["rank", "submission", "score", "0 to 1", "workloads", "lost workloads"]
    facts = ["", "framework, authors", "", "", "", ""]
    if drawn:
        header[3:3], facts[2] = ["rank between"], "95 % interval"
        facts[3:3] = ["first, of draws"]
    noise = context.result.clock_noise.sentence if context.result.clock_noise else ""
    intervals = " The mark across a bar is the score's interval." if drawn else ""
    return as_section(
        "leaderboard",
        "Who won",
        "The score is the mean height of a submission's performance profile: 1 for the fastest on every workload, 0 "
        "for one that loses all.",
        table(header, rows, facts, "leaderboard", label="Leaderboard"),
        [context.tables[name] for name in ("scores", "reasons", "submissions")],
        note='intervals: <a href="#ranks">uncertainty.csv</a>' if drawn else "",
        reading=f"Choose a name to follow it through the page.{intervals}{f' {text(noise)}.' if noise else ''}",
    )


def _cells(context: Context, place: int, standing: Standing, spread: Spread | None) -> list[str]:
    names = context.result.scores.protocol.workloads
    lost = [name for name in names if standing.cells[name].lost]
    return [
        cell(standing.rank, "number rank"),
        name_cell(place, standing.submission, whose(context, standing.submission)),
        cell(f"{standing.score:.4f}", "number score", interval(spread) if spread else ""),
        *((cell(rank_interval(spread), "number", f"{100 * spread.p_rank[0]:.0f} %"),) if spread else ()),
        f'<td class="bar-cell">{_bar(place, standing.score, spread)}</td>',
        cell(f"{len(names) - len(lost)} of {len(names)}", "number"),
        f'<td class="lost-list">{_lost(standing.cells, lost)}{_thin(context, standing)}</td>',
    ]


def whose(context: Context, submission: str) -> str:
    """Framework, authors and affiliations in one line, as far as they are said."""
    info = context.result.infos[submission]
    people = " of ".join(part for part in (info.authors, info.affiliations) if part)
    return ", ".join(part for part in (info.framework, people) if part)


def _bar(place: int, score: float, spread: Spread | None) -> str:
    whisker = ""
    if spread and math.isfinite(spread.low):
        left, width = 100 * spread.low, 100 * (spread.high - spread.low)
        whisker = f'<div class="interval" style="left:{left:.2f}%;width:{width:.2f}%"></div>'
    return f'<div class="track" aria-hidden="true">{fill(style_of(place), score)}{whisker}</div>'


def _thin(context: Context, standing: Standing) -> str:
    return "".join(
        f"<div><i>{studies}:</i> {text(', '.join(names))}</div>" for studies, names in thin(context.result, standing)
    )


def _lost(cells: Mapping[str, Cell], names: Iterable[str]) -> str:
    """The workloads by the reason of their loss, a line each."""
    by_reason: dict[str, list[str]] = {}
    for name in names:
        shown = f'<span title="{attribute(cells[name].reason)}">{text(name)}</span>'
        by_reason.setdefault(cells[name].lost or "", []).append(shown)
    return "".join(f"<div><i>{text(reason)}:</i> {', '.join(shown)}</div>" for reason, shown in by_reason.items())
