"""How sure the ranks are, and what they hang on."""

import math
from collections.abc import Iterable

from scoring.certainty.leave_one_out import LeftOut
from scoring.certainty.uncertainty import CONFIDENCE, Duels, Spread, Uncertainty
from scoring.page.markup import Context, cell, figure, folded, name_cell, row, table, text
from scoring.page.markup import section as as_section
from scoring.rules.alternatives import AS_SCORED, BY_STEPS, Alternative
from scoring.rules.score import MAX_RATIO

_TITLE = "How sure that is"
_LEAST_SHOWN = 0.0051  # of a probability
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
    sources = [context.tables[name] for name in ("uncertainty", "leave_one_out", "alternatives")]
    if not spreads(context):
        return as_section("ranks", _TITLE, text(note), _hangs_on(context), sources)
    body = _ranks(context, posterior) + _duels(context, posterior.duels)
    for uncertainty in further:
        summary, words = _FURTHER[uncertainty.way]
        body += folded(summary, f"<p>{text(uncertainty.note)} {words}</p>{_ranks(context, uncertainty)}")
    return as_section(
        "ranks",
        _TITLE,
        _difference(context),
        body + _hangs_on(context),
        [*sources, *(context.tables[name] for name in ("rank_probabilities", "time_ratios", "summary"))],
        reading=f"{text(note)} Studies are repetitions; another leaderboard with as many of them falls outside more "
        "often.",
    )


def _difference(context: Context) -> str:
    """The smallest difference that as many studies can tell."""
    duels = context.result.uncertainties[0].duels
    if len(context.submissions) < 2:
        return "There is one submission, and nobody to be compared with."
    smallest = duels.smallest_differences()
    studies = max(spread.studies for spread in context.result.uncertainties[0].spreads)
    return (
        f"<b>With {studies} {'study' if studies == 1 else 'studies'}, two scores that differ by less than "
        f"{smallest[len(smallest) // 2]:.3f} cannot be told apart</b> (the median pair; "
        f"{smallest[0]:.3f} to {smallest[-1]:.3f}, by pair). "
    )


def _ranks(context: Context, uncertainty: Uncertainty) -> str:
    """Probabilities of each rank; equal scores share one."""
    places = {submission: place for place, submission in enumerate(context.submissions)}
    rows = [
        row(
            [
                name_cell(places[spread.submission], spread.submission),
                cell(f"{spread.score:.3f}", "number score"),
                cell(interval(spread), "number score"),
                cell(rank_interval(spread), "number score"),
                *map(_probability, spread.p_rank),
            ],
            places[spread.submission],
        )
        for spread in uncertainty.spreads
    ]
    numbers = [str(rank) for rank in range(1, 1 + len(rows))]
    header = ("submission", "score", f"{100 * CONFIDENCE:.0f} % interval", "rank", *numbers)
    caption = "Share of the draws, in percent, in which a submission has each rank; equal scores share one."
    return table(header, rows, style="ranks", caption=caption)


def _duels(context: Context, duels: Duels) -> str:
    """How likely each submission's score is higher than each other's."""
    names = context.submissions
    rows = [
        row(
            [name_cell(place, name, f"place {place + 1}"), *(_probability(share) for share in duels.beats[place])],
            place,
        )
        for place, name in enumerate(names)
    ]
    header = ("submission", *(str(place) for place in range(1, 1 + len(names))))
    caption = "How likely, in percent, the row's score is higher than that of the place of the column."
    return folded("Who beats whom", table(header, rows, style="ranks", caption=caption))


def interval(spread: Spread) -> str:
    """Empty where a submission has none."""
    return f"{spread.low:.3f} to {spread.high:.3f}" if math.isfinite(spread.low) else ""


def rank_interval(spread: Spread) -> str:
    if math.isnan(spread.low_rank):
        return ""
    low, high = round(spread.low_rank), round(spread.high_rank)
    return f"{low}" if low == high else f"{low} to {high}"


def _probability(share: float) -> str:
    if not share >= _LEAST_SHOWN:  # NaN: a submission and itself
        return "<td></td>"
    return f'<td class="number heat" style="--p:{55 * share:.0f}%">{100 * share:.0f}</td>'


def _hangs_on(context: Context) -> str:
    """What the ranks hang on: who else takes part, and the rules."""
    return _left_out(context) + _rules(context)


def _left_out(context: Context) -> str:
    left_out = context.result.left_out
    if not left_out:
        return ""
    first = tuple(standing.submission for standing in context.result.scores.standings if standing.rank == 1)
    changing = [one for one in left_out if one.changes]
    decisive = [one for one in changing if one.first != first]
    others = [one for one in changing if one.first == first]
    stable = len(left_out) - len(changing)
    body = (
        "<p>Each submission, study and workload is left out in turn, and the rest is scored anew: by the 4x rule and "
        "the held-out workloads, a rival that nobody looks at may decide who is first. "
        f"{stable} of {len(left_out)} leave everything as it is.</p>"
    )
    body += _table(context, decisive) if decisive else '<p class="missing">None of them changes who is first.</p>'
    if others:
        body += folded(f"{len(others)} that leave the first where it is, and change others", _table(context, others))
    summary = f"{len(decisive)} of {len(left_out)} that are left out in turn change who is first"
    return folded(summary, body)


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


def _rules(context: Context) -> str:
    ways = [way for way in context.result.alternatives if not way.name.startswith("tau_max")]
    rows = [
        row(
            [name_cell(place, name), *(_under(way, ways[0], place) for way in ways)],
            place,
        )
        for place, name in enumerate(context.submissions)
    ]
    header = ("submission", *(way.name for way in ways))
    changed = ", ".join(
        f"{sum(rank not in (0, own) for rank, own in zip(way.ranks, ways[0].ranks, strict=True)) or 'none'} {way.name}"
        for way in ways
        if way.name != AS_SCORED
    )
    words = (
        "Steps compare on any machine, but a step of one submission may cost several of another's; whose logged steps "
        "are none of an optimizer has no score by them."
        if any(way.name == BY_STEPS for way in ways)
        else ""
    )
    return folded(
        f"Ranks that change under other rules: {changed}", f"<p>{words}</p>{table(header, rows)}{_tau_figure(context)}"
    )


def _under(way: Alternative, scored: Alternative, place: int) -> str:
    """Score and rank of a submission under a rule; marked where the rank is another."""
    if math.isnan(way.scores[place]):
        return cell("none", "lost", "no steps that compare")
    rank, before = way.ranks[place], scored.ranks[place]
    moved = f"rank {rank}, not {before}" if rank != before else f"rank {rank}"
    return cell(f"{way.scores[place]:.3f}", "number best" if rank < before else "number", moved)


def _tau_figure(context: Context) -> str:
    """The score by where the profile, and with it the 4x rule, ends."""
    ways = [way for way in context.result.alternatives if way.name.startswith("tau_max")]
    lines = [
        {
            "s": place,
            "name": standing.submission,
            "x": [way.tau_max for way in ways],
            "y": [round(way.scores[place], 6) for way in ways],
            "tips": [f"rank {way.ranks[place]}" for way in ways],
        }
        for place, standing in enumerate(context.result.scores.standings)
    ]
    ticks = [[tau, f"{tau:g}x"] for tau in (1.1, 1.5, 2, 3, 4, 6, 8, 11, 16)]
    content = {
        "height": 380,
        "x": {"label": "where the profile and the 4x rule end", "range": [1.1, 16], "log": True, "ticks": ticks},
        "y": {"label": "score", "range": [0, 1]},
        "lines": lines,
        "guides": [{"x": MAX_RATIO, "label": "the rule"}],
    }
    return figure("tau-plot", "Scores by where the profile ends", content)
