"""How sure the ranks are, and what they hang on."""

import math
from collections.abc import Iterable

from scoring.certainty.leave_one_out import LeftOut
from scoring.certainty.uncertainty import CONFIDENCE, Duels, Spread, Uncertainty
from scoring.page.markup import Context, cell, name_cell, row, table, text
from scoring.page.markup import section as as_section

_TITLE = "How sure the ranks are"
_LEAST_SHOWN = 0.005  # of a probability
# Of each bootstrap, its name and what it says beside its note.
_FURTHER = {
    "studies": ("By draws of the studies", "Of three studies there are few different draws: too narrow."),
    "studies and trials": (
        "With the tuning trials drawn, too",
        "What another search of as many points could have given.",
    ),
}


def spreads(context: Context) -> dict[str, Spread]:
    """By submission, by the posterior; empty where there was nothing to draw from."""
    found = context.result.uncertainties[0].spreads
    return {spread.submission: spread for spread in found if math.isfinite(spread.p_rank[0])}


def ranks_section(context: Context) -> str:
    posterior, *further = context.result.uncertainties
    note = posterior.note[:1].upper() + posterior.note[1:]
    if not spreads(context):
        return as_section("ranks", _TITLE, text(note), "", [context.tables["uncertainty"]])
    body = _ranks(context, posterior) + _duels(context, posterior.duels)
    for uncertainty in further:
        summary, words = _FURTHER[uncertainty.way]
        body += f"<details><summary>{summary}</summary><p>{text(uncertainty.note)} {words}</p>"
        body += f"{_ranks(context, uncertainty)}</details>"
    return as_section(
        "ranks",
        _TITLE,
        f"{text(note)} Studies are repetitions; another leaderboard with as many of them falls outside more often. A "
        "cell is the share of the draws, in percent, in which a submission has that rank; equal scores "
        "share one.",
        body,
        [context.tables[name] for name in ("rank_probabilities", "uncertainty", "profile_bands")],
    )


def _ranks(context: Context, uncertainty: Uncertainty) -> str:
    places = {submission: place for place, submission in enumerate(context.submissions)}
    rows = [
        row(
            [
                name_cell(places[spread.submission], spread.submission),
                cell(f"{spread.score:.3f}", "number score"),
                cell(interval(spread), "number score", _rank_interval(spread)),
                *map(_probability, spread.p_rank),
            ],
            places[spread.submission],
        )
        for spread in uncertainty.spreads
    ]
    numbers = [str(rank) for rank in range(1, 1 + len(rows))]
    return table(("", "score", f"{CONFIDENCE:.0%} interval", *numbers), rows, style="ranks")


def _duels(context: Context, duels: Duels) -> str:
    """How likely each submission's score is higher than each other's."""
    names = context.submissions
    rows = [
        row([name_cell(place, name), *(_probability(share) for share in duels.beats[place])], place)
        for place, name in enumerate(names)
    ]
    body = table(("", *names), rows, style="matrix")
    return (
        "<details><summary>Who beats whom</summary><p>How likely, in percent, the row's score is higher than the "
        f"column's.</p>{body}</details>"
    )


def interval(spread: Spread) -> str:
    """Empty where a submission has none."""
    return f"{spread.low:.3f} to {spread.high:.3f}" if math.isfinite(spread.low) else ""


def _rank_interval(spread: Spread) -> str:
    if math.isnan(spread.low_rank):
        return ""
    low, high = round(spread.low_rank), round(spread.high_rank)
    return f"rank {low}" if low == high else f"rank {low} to {high}"


def _probability(share: float) -> str:
    if not share >= _LEAST_SHOWN:  # NaN: a submission and itself
        return "<td></td>"
    return f'<td class="number heat" style="--p:{80 * share:.0f}%">{100 * share:.0f}</td>'


def left_out_section(context: Context) -> str:
    left_out = context.result.left_out
    if not left_out:
        return ""
    first = tuple(standing.submission for standing in context.result.scores.standings if standing.rank == 1)
    changing = [one for one in left_out if one.changes]
    decisive = [one for one in changing if one.first != first]
    others = [one for one in changing if one.first == first]
    body = _table(context, decisive) if decisive else '<p class="missing">None of them changes who is first.</p>'
    if others:
        words = f"{len(others)} that leave the first where it is, and change others"
        body += f"<details><summary>{words}</summary>{_table(context, others)}</details>"
    stable = len(left_out) - len(changing)
    return as_section(
        "left-out",
        "What the ranks hang on",
        "Each submission, study and workload is left out in turn, and the rest is scored anew: by the 4x rule and the "
        f"held-out workloads, a rival that nobody looks at may decide who is first. {stable} of {len(left_out)} leave "
        "everything as it is.",
        body,
        [context.tables["leave_one_out"]],
    )


def _table(context: Context, left_out: Iterable[LeftOut]) -> str:
    rows = [cells for one in left_out for cells in _changes(context, one)]
    return table(("left out", "first without it", "submission", "rank", "score", "why"), rows)


def _changes(context: Context, one: LeftOut) -> Iterable[str]:
    """A row for each submission that changes; what was left out stands in the first."""
    places = {submission: place for place, submission in enumerate(context.submissions)}
    for number, change in enumerate(one.changes):
        span = f' rowspan="{len(one.changes)}"'
        head = (
            f'<th scope="rowgroup"{span}>{text(one.name)}<small>{text(one.kind)}</small></th>'
            f"<td{span}>{text(', '.join(one.first))}</td>"
        )
        moved = change.rank_before != change.rank_after
        rank = f"{change.rank_before} → {change.rank_after}" if moved else str(change.rank_after)
        yield row(
            [
                head if number == 0 else "",
                name_cell(places[change.submission], change.submission),
                cell(rank, "number best" if change.rank_after < change.rank_before else "number"),
                cell(f"{change.score_before:.3f} → {change.score_after:.3f}", "number"),
                cell(change.why, "why"),
            ]
        )
