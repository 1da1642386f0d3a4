"""The tables of a paper, as Markdown and as LaTeX: tables.md and tables.tex. Numbers are rounded as people print them.

LaTeX needs the package booktabs and nothing else; texts of logs are escaped in both.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Sequence

from scoring.result import Result
from scoring.rules.score import Cell


@dataclasses.dataclass(frozen=True)
class PaperTable:
    """name: for a label. caption: a sentence. rows: as they are shown; the first column is text, others numbers."""

    name: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def paper_tables(result: Result) -> list[PaperTable]:
    names = result.scores.protocol.workloads
    held_out = result.scores.protocol.held_out
    made = [
        _leaderboard(result),
        _cells(result, "times", "Charged seconds to the target, medians over the studies.", names, _time),
    ]
    if held_out:
        made.append(_cells(result, "heldout", "Charged seconds to the targets of held-out workloads.", held_out, _time))
    if result.closest:
        made.append(_closeness(result))
    if result.pairs:
        made.append(_speedups(result))
    made.append(_alternatives(result))
    return made


def _leaderboard(result: Result) -> PaperTable:
    rows = []
    for standing, spread in zip(result.scores.standings, result.uncertainties[0].spreads, strict=True):
        info = result.infos[standing.submission]
        counted = sum(not standing.cells[name].lost for name in result.scores.protocol.workloads)
        interval = "" if math.isnan(spread.low) else f"{spread.low:.3f}-{spread.high:.3f}"
        ranks = "" if math.isnan(spread.low_rank) else f"{spread.low_rank:.0f}-{spread.high_rank:.0f}"
        rows.append(
            (
                *(standing.submission, info.framework, str(standing.rank), ranks),
                *(f"{standing.score:.4f}", interval, f"{counted}/{len(result.scores.protocol.workloads)}"),
            )
        )
    caption = f"{result.title}, {result.scores.reading}{f' ({result.caveat})' if result.caveats else ''}."
    header = ("submission", "framework", "rank", "rank 95 %", "score", "score 95 %", "workloads")
    return PaperTable("leaderboard", caption, header, rows)


def _cells(result: Result, name: str, caption: str, of: Sequence[str], shown: Callable[[Cell], str]) -> PaperTable:
    rows = [
        (standing.submission, *(shown(standing.cells[workload]) for workload in of))
        for standing in result.scores.standings
    ]
    return PaperTable(name, caption, ("submission", *of), rows)


def _time(cell: Cell) -> str:
    return cell.lost or f"{cell.time:.0f}"


def _closeness(result: Result) -> PaperTable:
    names = (*result.scores.protocol.workloads, *result.scores.protocol.held_out)

    def shown(submission: str, name: str) -> str:
        found = result.closest.get((submission, name))
        return "" if found is None else "met" if found.gap <= 0 else f"{100 * found.share:.2f}"

    rows = [
        (standing.submission, *(shown(standing.submission, name) for name in names))
        for standing in result.scores.standings
    ]
    caption = "By how many percent of the target the median study falls short of it."
    return PaperTable("closeness", caption, ("submission", *names), rows)


def _speedups(result: Result) -> PaperTable:
    """Over the first."""
    first = result.scores.standings[0].submission
    rows = [
        (
            pair.submission,
            *(f"{1 / pair.budget_ratio:.3f}", f"{1 / pair.capped_ratio:.3f}"),
            f"{1 / pair.time_ratio:.3f}" if pair.workloads else "",
            str(pair.workloads),
        )
        for pair in result.pairs
        if pair.to == first
    ]
    caption = (
        f"Speed-up over {first}: official, over all workloads, a miss as the budget and a second; capped, a miss as "
        "four times the fastest; and over the workloads that both reach."
    )
    return PaperTable("speedups", caption, ("submission", "official", "capped", "both reach", "workloads"), rows)


def _alternatives(result: Result) -> PaperTable:
    ways = [way for way in result.alternatives if not way.name.startswith("tau_max")]
    rows = [
        (
            standing.submission,
            *("" if math.isnan(way.scores[place]) else f"{way.scores[place]:.4f} ({way.ranks[place]})" for way in ways),
        )
        for place, standing in enumerate(result.scores.standings)
    ]
    return PaperTable("rules", "Scores (ranks) under other rules.", ("submission", *(way.name for way in ways)), rows)


def markdown(tables: Iterable[PaperTable]) -> str:
    return "\n".join(_markdown(table) for table in tables)


def _markdown(table: PaperTable) -> str:
    align = ("---", *("---:",) * (len(table.header) - 1))
    lines = [[_in_markdown(word) for word in line] for line in (table.header, *table.rows)]
    shown = [lines[0], align, *lines[1:]]
    return f"{_in_markdown(table.caption)}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in shown)


def _in_markdown(word: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>|#$~&])", r"\\\1", word)


def latex(tables: Iterable[PaperTable]) -> str:
    return "\n".join(_latex(table) for table in tables)


def _latex(table: PaperTable) -> str:
    columns = "l" + "r" * (len(table.header) - 1)
    lines = [" & ".join(map(_in_latex, line)) + r" \\" for line in (table.header, *table.rows)]
    body = "\n".join(f"    {line}" for line in (r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"))
    return (
        f"\\begin{{table}}\n  \\centering\n  \\caption{{{_in_latex(table.caption)}}}\n  \\label{{tab:{table.name}}}\n"
        f"  \\begin{{tabular}}{{{columns}}}\n{body}\n  \\end{{tabular}}\n\\end{{table}}\n"
    )


_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"},
    ">": r"\textgreater{}",
}


def _in_latex(word: str) -> str:
    return "".join(_LATEX.get(character, character) for character in word)
