"""`changes.html`: two trees of results on one page: what changed in scores, cells and conditions."""

import math
from collections.abc import Mapping

from algoperf.records.words import counted
from scoring.certainty.uncertainty import Spread
from scoring.page.document import Section, document
from scoring.page.markup import cell, duration, folded, row, section, table, text
from scoring.rules.score import Standing
from scoring.sides import A, B, Change, Condition, Sides, in_field
from scoring.tables.changes import ratio
from scoring.tables.tables import CsvTable

_SAME = 0.01  # a ratio that is nearer to 1 is said to be 1
_CLEAR = 0.30  # one that is so far from 1 has the full colour


def page(sides: Sides, tables: Mapping[str, CsvTable]) -> str:
    """The whole document. tables: of `scoring.tables.changes`."""
    made = (
        Section("scores", "Scores", _scores(sides, tables)),
        Section("cells", "Cells", _cells(sides, tables)),
        Section("together", "Together", _together(sides)),
        Section("conditions", "Conditions", _conditions(sides, tables)),
    )
    caveats = dict.fromkeys((*sides.together.caveats, *sides.a.caveats, *sides.b.caveats))
    head = (
        f"<h1>{text(sides.b.title)}: A and B side by side</h1>\n"
        + "".join(f'<p class="caveat">{text(caveat)}</p>' for caveat in caveats)
        + f"<p><b>A</b> is <code>{text(sides.a.source)}</code>, <b>B</b> is <code>{text(sides.b.source)}</code>. "
        f"{text(_in_short(sides))}</p>"
    )
    return document(f"{sides.b.title}: A and B", head, made, "By <code>algoperf report</code>.")


def _in_short(sides: Sides) -> str:
    """The answer in a sentence or two."""
    both = counted(len(sides.both), "submission") if sides.both else "No submission"
    are = "is" if len(sides.both) == 1 else "are"
    other = sum(condition.is_another for condition in sides.conditions)
    wins = [(a.lost is not None) - (b.lost is not None) for a, b in sides.cells.values()]
    words = f"{both} {are} in both."
    if any(wins):
        words += f" Workloads that count in B only: {wins.count(1):,}; in A only: {wins.count(-1):,}."
    return f"{words} Conditions that differ: {other:,}."


def _scores(sides: Sides, tables: Mapping[str, CsvTable]) -> str:
    is_drawn = bool(sides.together.uncertainties[0].draws)
    rows = [row(_score_cells(change, is_drawn)) for change in sides.changes]
    header = ["submission", "A", "B", "A, in one field", "B, in one field", "time, B of A", "steps, B of A"]
    facts = ["", "score, rank", "score, rank", "score", "score", "95 % interval, workloads", "workloads"]
    if is_drawn:
        header[5:5], facts[5:5] = ["B better"], ["probability"]
    return section(
        "scores",
        "What changed in the scores",
        "Each tree is scored by itself first, against rivals of its own. In one field, where all of both trees meet, "
        "scores compare. Times are geometric means over the workloads that both reach; below 1, B is faster.",
        table(header, rows, facts, label="Scores of A and B"),
        [tables["changes"]],
    )


def _score_cells(change: Change, is_drawn: bool) -> list[str]:
    better = "" if math.isnan(change.p_better) else f"{100 * change.p_better:.0f} %"
    pair = change.pair
    time = steps = ("", "")
    if pair is not None and pair.workloads:
        interval = "" if math.isnan(change.low) else f"{change.low:.3f} to {change.high:.3f}; "
        time = f"{pair.time_ratio:.3f}", f"{interval}{counted(pair.workloads, 'workload')}"
    if pair is not None and pair.step_workloads:
        steps = f"{pair.step_ratio:.3f}", counted(pair.step_workloads, "workload")
    return [
        f'<th scope="row" class="name">{text(change.submission)}</th>',
        _standing(change.a, change.spread_a),
        _standing(change.b, change.spread_b),
        *(
            cell("" if math.isnan(score) else f"{score:.4f}", "number")
            for score in (change.together_a, change.together_b)
        ),
        *((cell(better, "number"),) if is_drawn else ()),
        cell(time[0], "number", time[1]),
        cell(steps[0], "number", steps[1]),
    ]


def _standing(standing: Standing | None, spread: Spread | None) -> str:
    if standing is None:
        return cell("not there", "lost")
    interval = "" if math.isnan(spread.low) else f", {spread.low:.2f} to {spread.high:.2f}"
    return cell(f"{standing.score:.4f}", "number", f"rank {standing.rank}{interval}")


def _cells(sides: Sides, tables: Mapping[str, CsvTable]) -> str:
    """Empty where no submission is in both trees."""
    if not sides.both:
        return ""
    names = list(dict.fromkeys(workload for _, workload in sides.cells))
    rows = [
        row(
            [
                f'<th scope="row" class="name">{text(submission)}</th>',
                *(_cell(sides, submission, name) for name in names),
            ]
        )
        for submission in sides.both
    ]
    return section(
        "cells",
        "What changed on each workload",
        "The time of B as a multiple of A's; below, A's seconds and B's, and where it counts in one only. Where "
        "neither reached the target, by how much of it the median study fell short.",
        table(("submission", *names), rows, style="matrix", label="Times of B compared with A"),
        [tables["changed_cells"]],
    )


def _cell(sides: Sides, submission: str, workload: str) -> str:
    a, b = sides.cells[submission, workload]
    if a.lost == b.lost == "not reached":
        near = [side.closest.get((submission, workload)) for side in (sides.a, sides.b)]
        short = " → ".join(f"{100 * one.share:.3g} %" for one in near) + " short" if all(near) else ""
        return cell("not reached", "lost", short)
    if a.lost == b.lost == "no data":
        return cell("no data", "lost", "in both")
    under = " → ".join(map(_time, (a.time, b.time)))
    if a.lost != b.lost:
        under += f"; {f'A: {a.lost}' if a.lost else 'counts in A'}, {f'B: {b.lost}' if b.lost else 'counts in B'}"
    elif b.lost:
        under += f"; {b.lost} in both"
    change = ratio(a.time, b.time)
    if math.isnan(change):
        return cell("no time" if a.lost == b.lost else "lost" if b.lost else "won", "lost", under)
    words = "the same" if a.time == b.time else f"{change:.3f}"
    if abs(change - 1) < _SAME:
        return cell(words, "number", under)
    strength = 10 + 35 * min(1.0, abs(math.log(change)) / math.log(1 + _CLEAR))
    style = "number heat slower" if change > 1 else "number heat"
    return cell(words, style, under).replace("<td", f'<td style="--p:{strength:.0f}%"', 1)


def _time(seconds: float) -> str:
    return "no data" if math.isnan(seconds) else "not reached" if math.isinf(seconds) else duration(seconds)


def _together(sides: Sides) -> str:
    result, rows = sides.together, []
    sides_of = {
        in_field(standing.submission, side, sides.both): side
        for side, of in ((A, sides.a), (B, sides.b))
        for standing in of.scores.standings
    }
    for standing, spread in zip(result.scores.standings, result.uncertainties[0].spreads, strict=True):
        names = result.scores.protocol.workloads
        counting = sum(not standing.cells[name].lost for name in names)
        rows.append(
            row(
                [
                    cell(standing.rank, "number rank"),
                    f'<th scope="row" class="name">{text(standing.submission)}</th>',
                    cell(sides_of[standing.submission]),
                    _standing(standing, spread),
                    cell(f"{counting} of {len(names)}", "number"),
                ]
            )
        )
    return section(
        "together",
        "All in one field",
        "Every submission of both trees against the same fastest: the leaderboard that they would make together.",
        table(("rank", "submission", "from", "score", "workloads"), rows, label="All in one field"),
        [],
    )


def _conditions(sides: Sides, tables: Mapping[str, CsvTable]) -> str:
    others = [one for one in sides.conditions if one.is_another]
    same = [one for one in sides.conditions if not one.is_another]
    body = _condition_table(others, "Other conditions") if others else '<p class="missing">No condition differs.</p>'
    if same:
        body += folded(
            f"{counted(len(same), 'condition')} that did not change", _condition_table(same, "The same conditions")
        )
    return section(
        "conditions",
        "What else was another",
        "A difference of scores is one of the submissions only where the conditions are the same: hardware, budgets, "
        "versions, what the submissions are, and how many trials there are.",
        body,
        [tables["conditions"]],
    )


def _condition_table(conditions: list[Condition], label: str) -> str:
    rows = [row([f'<th scope="row">{text(one.what)}</th>', *map(_words, (one.a, one.b))]) for one in conditions]
    return table(("what", "A", "B"), rows, label=label)


def _words(words: str) -> str:
    return cell(words) if words else cell("not said", "lost")
