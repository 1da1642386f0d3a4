"""The whole report of a scoring: tables and texts (`tables/files.py`), the profile as pictures, one page of all."""

from pathlib import Path

from scoring.page import page
from scoring.result import Result
from scoring.rules.studies import studies
from scoring.tables.files import made_tables, table_files, write_files
from scoring.tables.plots import as_png, as_svg, profile_figure


def write(result: Result, out: Path) -> None:
    """Makes all files before it writes the first. Raises UsageError where `out` is no folder and cannot become one."""
    write_files(report_files(result), out)


def report_files(result: Result) -> dict[str, bytes]:
    """File name -> content; the same result gives the same bytes."""
    found = studies(result.logs.trials, result.scores.reading)
    made = made_tables(result, found)
    figure = profile_figure(result.scores, result.title, result.caveat)
    return {
        **table_files(result, made),
        "profile.svg": as_svg(figure),
        "profile.png": as_png(figure),
        "report.html": page(result, found, made).encode("utf-8"),
    }
