"""The files of a scoring that a script reads: tables as csv (`tables.py`, `analysis.py`, `answers.py`), and texts.

tables.md, tables.tex: the tables of a paper (`paper.py`). caveats.txt: why these are not scores like any others, a line
each; empty where nothing is to be said. leaderboard.txt: what the terminal showed.
"""

from collections.abc import Mapping
from pathlib import Path

from algoperf.benchmark.facts import UsageError
from algoperf.records.atomic import write_atomically
from scoring.result import Result
from scoring.tables.analysis import analysis_tables
from scoring.tables.answers import answer_tables
from scoring.tables.leaderboard import leaderboard_text
from scoring.tables.paper import latex, markdown, paper_tables
from scoring.tables.tables import CsvTable, tables


def write(result: Result, out: Path) -> None:
    """Makes all files before it writes the first. Raises UsageError where `out` is no folder and cannot become one."""
    write_files(table_files(result, made_tables(result)), out)


def made_tables(result: Result) -> dict[str, CsvTable]:
    """Name without `.csv` -> table."""
    return {**tables(result), **analysis_tables(result), **answer_tables(result)}


def table_files(result: Result, made: Mapping[str, CsvTable]) -> dict[str, bytes]:
    """File name -> content."""
    of_paper = paper_tables(result)
    return {
        **{table.name: table.csv() for table in made.values()},
        "tables.md": markdown(of_paper).encode("utf-8"),
        "tables.tex": latex(of_paper).encode("utf-8"),
        "caveats.txt": "".join(f"{caveat}\n" for caveat in result.caveats).encode("utf-8"),
        "leaderboard.txt": leaderboard_text(result).encode("utf-8"),
    }


def write_files(files: Mapping[str, bytes], out: Path) -> None:
    """Each is written whole or not at all. Raises UsageError where `out` is no folder and cannot become one."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the report cannot be written into {str(out)!r}: {error.strerror}.") from error
    for name, data in files.items():
        write_atomically(out / name, data)
