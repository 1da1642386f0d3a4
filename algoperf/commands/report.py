"""`algoperf report`: two trees of results side by side."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    a: Annotated[Path, typer.Argument(help="Logs as `algoperf score` takes them, or published:<name>.")],
    b: Annotated[Path, typer.Argument(help="What A is compared with: after it, or of others.")],
    protocol: Annotated[
        str | None, typer.Option(help="Of both; may be left out where A and B have one only, or one is published.")
    ] = None,
    ruleset: Annotated[str | None, typer.Option(help="external or self; left out like the protocol.")] = None,
    out: Annotated[Path, typer.Option(help="The folder for changes.html and its tables.")] = Path("changes"),
    reading: Annotated[
        str, typer.Option(help="as-documented, or as-published (the reference code).")
    ] = "as-documented",
    allow_mixed_hardware: Annotated[
        bool, typer.Option("--allow-mixed-hardware", help="Take a tree whose own trials ran on unlike machines.")
    ] = False,
) -> None:
    """Two trees of results on one page: what changed in scores, on each workload, and in the conditions."""
    from rich.console import Console

    from scoring.command import compare_logs
    from scoring.tables.leaderboard import changes

    sides = compare_logs(a, b, protocol, ruleset, reading, out, allow_mixed_hardware)
    console = Console(highlight=False)
    console.print(changes(sides))
    for caveat in sides.together.caveats:
        console.print(caveat, style="bold red", markup=False)
    console.print(f"report: {out / 'changes.html'}", markup=False)
