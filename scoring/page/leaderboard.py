"""Rank, score, how many workloads count, and why the others are lost."""

import math
from collections.abc import Iterable, Mapping

from scoring.certainty.uncertainty import Spread
from scoring.page.certainty import interval, spreads
from scoring.page.markup import Context, attribute, cell, name_cell, row, style_of, table, text
from scoring.page.markup import section as as_section
from scoring.rules.score import Cell, Standing


def section(context: Context) -> str:
    drawn = spreads(context)
    rows = [
        row(_cells(context, place, standing, drawn.get(standing.submission)), place)
        for place, standing in enumerate(context.result.scores.standings)
    ]
    header = (
        "",
        "submission",
        "framework",
        "score",
        "",
        *(("rank 1",) if drawn else ()),
        "workloads",
        "lost workloads",
    )
    facts = ("", "", "authors", "", "", *(("of draws",) if drawn else ()), "", "")
    noise = context.result.clock_noise.sentence if context.result.clock_noise else ""
    intervals = " Below a score, and across its bar, its interval." if drawn else ""
    return as_section(
        "leaderboard",
        "Leaderboard",
        "The score is the mean height of a submission's performance profile: 1 for the fastest on every workload, 0 "
        f"for one that loses all.{intervals} Choose a submission to follow it through the page."
        f"{f' {text(noise)}.' if noise else ''}",
        table(header, rows, facts, "leaderboard"),
        [context.tables[name] for name in ("scores", "reasons", "submissions")],
        note='intervals: <a href="#ranks">uncertainty.csv</a>' if drawn else "",
    )


def _cells(context: Context, place: int, standing: Standing, spread: Spread | None) -> list[str]:
    names = context.result.scores.protocol.workloads
    info = context.result.infos[standing.submission]
    lost = [name for name in names if standing.cells[name].lost]
    return [
        cell(standing.rank, "number rank"),
        name_cell(place, standing.submission),
        cell(info.framework, "framework", info.authors),
        cell(f"{standing.score:.4f}", "number score", interval(spread) if spread else ""),
        f'<td class="bar-cell">{_bar(place, standing.score, spread)}</td>',
        *((cell(f"{100 * spread.p_rank[0]:.0f} %", "number"),) if spread else ()),
        cell(f"{len(names) - len(lost)} of {len(names)}", "number"),
        f'<td class="lost-list">{_lost(standing.cells, lost)}{_thin(context, standing)}</td>',
    ]


def _bar(place: int, score: float, spread: Spread | None) -> str:
    whisker = ""
    if spread and math.isfinite(spread.low):
        left, width = 100 * spread.low, 100 * (spread.high - spread.low)
        whisker = f'<div class="interval" style="left:{left:.2f}%;width:{width:.2f}%"></div>'
    fill = f'<div class="fill {style_of(place)}" style="width:{100 * score:.2f}%"></div>'
    return f'<div class="track">{fill}{whisker}</div>'


def _thin(context: Context, standing: Standing) -> str:
    protocol = context.result.scores.protocol
    return "".join(
        f' <span class="chip">{text(", ".join(names))} <i>by {studies} of {protocol.studies} studies</i></span>'
        for studies, names in standing.with_fewer_studies(protocol).items()
    )


def _lost(cells: Mapping[str, Cell], names: Iterable[str]) -> str:
    return " ".join(
        f'<span class="chip" title="{attribute(cells[name].reason)}">{text(name)} '
        f"<i>{text(cells[name].lost)}</i></span>"
        for name in names
    )
