"""The files of a scoring: tables as csv, the profile as pictures, and one page that shows them all.

scores.csv: rank, submission, score. time_to_target.csv: charged seconds of each submission (rows) on each scored
workload (columns), inf where the workload is lost, empty where there is no data. reasons.csv: the same in full, one
row per cell, held-out workloads included: the seconds before any rule took them, the ratio to the fastest, and why the
workload is lost. profile.csv: tau, and the height of each submission's profile from this tau to the next.
data_quality.csv: path, what, done. caveats.txt: why these are not scores like any others, a line each; empty where
nothing is to be said. leaderboard.txt: what the terminal showed.
"""

import csv
import dataclasses
import io
import math
from collections.abc import Iterable
from pathlib import Path

from algoperf.files import write_atomically
from algoperf.spec import UsageError
from scoring.leaderboard import leaderboard_text
from scoring.page import page
from scoring.plots import as_png, as_svg, profile_figure
from scoring.result import Result
from scoring.score import Scores, jumps, profile


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
    scores = result.scores
    figure = profile_figure(scores, result.title, result.caveat)
    svg = as_svg(figure)
    return {
        "scores.csv": _csv(("rank", "submission", "score"), _score_rows(scores)),
        "time_to_target.csv": _csv(("submission", *scores.protocol.workloads), _time_rows(scores)),
        "reasons.csv": _csv(("submission", "workload", "seconds", "ratio", "lost", "why"), _reason_rows(scores)),
        "profile.csv": _csv(("tau", *(standing.submission for standing in scores.standings)), _profile_rows(scores)),
        "data_quality.csv": _csv(("path", "what", "done"), map(dataclasses.astuple, result.logs.findings)),
        "caveats.txt": "".join(f"{caveat}\n" for caveat in result.caveats).encode("utf-8"),
        "leaderboard.txt": leaderboard_text(result).encode("utf-8"),
        "profile.svg": svg,
        "profile.png": as_png(figure),
        "report.html": page(result, svg.decode("utf-8")).encode("utf-8"),
    }


def _csv(header: Iterable[str], rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def _score_rows(scores: Scores) -> Iterable[tuple]:
    return ((standing.rank, standing.submission, f"{standing.score:.6f}") for standing in scores.standings)


def _time_rows(scores: Scores) -> Iterable[tuple]:
    for standing in scores.standings:
        cells = [standing.cells[name] for name in scores.protocol.workloads]
        times = (cell.time if cell.lost in (None, "no data") else math.inf for cell in cells)
        yield standing.submission, *map(_seconds, times)


def _reason_rows(scores: Scores) -> Iterable[tuple]:
    for standing in scores.standings:
        for name, cell in standing.cells.items():
            yield standing.submission, name, _seconds(cell.time), f"{cell.ratio:.6f}", cell.lost or "", cell.why


def _profile_rows(scores: Scores) -> Iterable[tuple]:
    ratios = scores.ratios()
    for tau, heights in zip(jumps(ratios), profile(ratios, jumps(ratios)).T, strict=True):
        yield tau, *heights


def _seconds(time: float) -> str:
    return "" if math.isnan(time) else f"{time:.3f}"
