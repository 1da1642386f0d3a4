"""The files of a scoring: tables as csv (`tables.py`, `analysis.py`), the profile as pictures, one page of all.

caveats.txt: why these are not scores like any others, a line each; empty where nothing is to be said. leaderboard.txt:
what the terminal showed.
"""

from pathlib import Path

from algoperf.benchmark.facts import UsageError
from algoperf.records.atomic import write_atomically
from scoring.page import page
from scoring.result import Result
from scoring.rules.studies import studies
from scoring.tables.analysis import analysis_tables
from scoring.tables.leaderboard import leaderboard_text
from scoring.tables.plots import as_png, as_svg, profile_figure
from scoring.tables.tables import tables


def write_report(result: Result, out: Path) -> None:
    """Makes all files before it writes the first; each is written whole or not at all.

    Raises UsageError where `out` is no folder and cannot become one.
    """
    files = report_files(result)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the report cannot be written into {str(out)!r}: {error.strerror}.") from error
    for name, data in files.items():
        write_atomically(out / name, data)


def report_files(result: Result) -> dict[str, bytes]:
    """File name -> content; the same result gives the same bytes."""
    found = studies(result.logs.trials, result.scores.reading)
    made = {**tables(result, found), **analysis_tables(result)}
    figure = profile_figure(result.scores, result.title, result.caveat)
    return {
        **{table.name: table.csv() for table in made.values()},
        "caveats.txt": "".join(f"{caveat}\n" for caveat in result.caveats).encode("utf-8"),
        "leaderboard.txt": leaderboard_text(result).encode("utf-8"),
        "profile.svg": as_svg(figure),
        "profile.png": as_png(figure),
        "report.html": page(result, found, made).encode("utf-8"),
    }
