"""Rank, score, how many workloads count, and why the others are lost."""

from scoring.page.markup import Context, cell, name_cell, row, table, text
from scoring.page.markup import section as as_section


def section(context: Context) -> str:
    scores = context.result.scores
    names = scores.protocol.workloads
    rows = []
    for place, standing in enumerate(scores.standings):
        lost = [name for name in names if standing.cells[name].lost]
        rows.append(
            row(
                [
                    cell(standing.rank, "number rank"),
                    name_cell(place, standing.submission),
                    cell(f"{standing.score:.4f}", "number score"),
                    f'<td class="bar-cell">{_bar(place, standing.score)}</td>',
                    cell(f"{len(names) - len(lost)} of {len(names)}", "number"),
                    f'<td class="lost-list">{_lost(standing.cells, lost)}</td>',
                ],
                place,
            )
        )
    header = ("", "submission", "score", "", "workloads", "lost workloads")
    return as_section(
        "leaderboard",
        "Leaderboard",
        "The score is the mean height of a submission's performance profile: 1 for the fastest on every workload, 0 for "
        "one that loses all. Choose a submission to follow it through the page.",
        table(header, rows, style="leaderboard"),
        [context.tables["scores"], context.tables["reasons"]],
    )


def _bar(place: int, score: float) -> str:
    return f'<div class="track"><div class="fill c{place % 7}" style="width:{100 * score:.2f}%"></div></div>'


def _lost(cells, names) -> str:
    return " ".join(
        f'<span class="chip" title="{text(cells[name].reason)}">{text(name)} <i>{text(cells[name].lost)}</i></span>'
        for name in names
    )
