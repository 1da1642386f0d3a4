"""The leaderboard on a terminal."""

import io

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scoring.result import Result

_WIDTH = 100  # columns of a plain-text leaderboard


def leaderboard(result: Result) -> Table:
    """Rank, submission, score, how many workloads count, and why the others are lost. Names are never markup."""
    names = result.scores.protocol.workloads
    title = Text.assemble(result.title, (f"\n{result.caveat}" if result.caveats else "", "bold red"))
    table = Table(title=title, title_justify="left")
    for heading, style in (("rank", "right"), ("submission", "left"), ("score", "right"), ("workloads", "right")):
        table.add_column(heading, justify=style, no_wrap=heading != "submission")
    table.add_column("lost", overflow="fold")
    for standing in result.scores.standings:
        lost: dict[str, list[str]] = {}
        for name in names:
            if reason := standing.cells[name].lost:
                lost.setdefault(reason, []).append(name)
        table.add_row(
            str(standing.rank),
            Text(standing.submission),
            f"{standing.score:.4f}",
            f"{len(names) - sum(map(len, lost.values()))} of {len(names)}",
            Text("; ".join(f"{reason}: {', '.join(of)}" for reason, of in lost.items())),
            style="bold" if standing.rank == 1 else "",
        )
    return table


def leaderboard_text(result: Result) -> str:
    """The leaderboard as plain text."""
    text = io.StringIO()
    Console(file=text, width=_WIDTH, highlight=False).print(leaderboard(result))
    return text.getvalue()
