"""The whole report of a scoring: tables and texts (`tables/files.py`), the profile as pictures, one page of all."""

import os
from pathlib import Path
from urllib.parse import quote

from scoring.page import changes, page
from scoring.result import Result
from scoring.sides import Sides
from scoring.tables.changes import change_tables
from scoring.tables.files import made_tables, table_files, write_files
from scoring.tables.plots import as_png, as_svg, profile_figure


def write(result: Result, out: Path) -> None:
    """Makes all files before it writes the first. Raises UsageError where `out` is no folder and cannot become one."""
    folder = "" if result.folder is None else quote(os.path.relpath(result.folder, out))
    write_files(report_files(result, folder), out)


def report_files(result: Result, folder: str = "") -> dict[str, bytes]:
    """File name -> content; the same result gives the same bytes. folder: of the logs, from where the files will be."""
    made = made_tables(result)
    figure = profile_figure(result.scores, result.title, result.caveat)
    picture = as_svg(figure)
    return {
        **table_files(result, made),
        "profile.svg": picture,
        "profile.png": as_png(figure),
        "report.html": page(result, made, picture, folder).encode("utf-8"),
    }


def write_changes(sides: Sides, out: Path) -> None:
    """Two trees side by side: `changes.html` and its tables. Raises UsageError as `write`."""
    made = change_tables(sides)
    files = {table.name: table.csv() for table in made.values()}
    write_files({**files, "changes.html": changes.page(sides, made).encode("utf-8")}, out)
