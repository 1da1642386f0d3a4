"""The leaderboard on a terminal."""

from rich.table import Table
from rich.text import Text

from scoring.result import Result


def leaderboard(result: Result) -> Table:
    """Rank, submission, score, how many workloads count, and why the others are lost. Names are never markup."""
    names = result.scores.protocol.workloads
    table = Table(title=Text(result.title), title_justify="left")
    for heading, style in (("rank", "right"), ("submission", "left"), ("score", "right"), ("workloads", "right")):
        table.add_column(heading, justify=style, no_wrap=heading != "submission")
    table.add_column("lost", overflow="fold")
    for standing in result.scores.standings:
        lost = [f"{name} ({standing.cells[name].lost})" for name in names if standing.cells[name].lost]
        table.add_row(
            str(standing.rank),
            Text(standing.submission),
            f"{standing.score:.4f}",
            f"{len(names) - len(lost)} of {len(names)}",
            Text(", ".join(lost)),
            style="bold" if standing.rank == 1 else "",
        )
    return table
