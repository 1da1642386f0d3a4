"""How sure a leaderboard is: leaderboards drawn three ways, each through all rules of the score.

By the `posterior` of the times (`posterior.py`), by draws of the `studies`, and by draws of `studies and trials`
(`resampling.py`). Medians, the 4x rule against the draw's own fastest, held-out workloads and scores follow anew in
each draw; submissions are drawn independently of one another. Intervals and bands are percentiles of the draws, widened
to what was observed where that lies outside: a score is never outside of its own interval.

An interval is of the score that infinitely many studies would give, not of another leaderboard with as many studies as
this one, which would fall outside more often.
"""

import dataclasses
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np

from algoperf.benchmark.protocol import Protocol
from scoring.certainty.posterior import draw_medians
from scoring.certainty.resampling import draw_studies, draw_studies_and_trials
from scoring.logs.trials import Trial
from scoring.rules.raced import untold
from scoring.rules.score import (
    MAX_RATIO,
    Reading,
    Scores,
    Standing,
    Table,
    fastest,
    integrate,
    median,
    profile,
    score_trials,
    settle,
)

Way: TypeAlias = Literal["posterior", "studies", "studies and trials"]
WAYS: tuple[Way, ...] = ("posterior", "studies", "studies and trials")
CONFIDENCE = 0.95
DRAWS = 1_000
SEED = 0
TAU = np.linspace(1, MAX_RATIO, 121)  # where the bands of the profile are given
_ENDS = (0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2)


@dataclasses.dataclass(frozen=True)
class Spread:
    """One submission over the draws.

    studies: how many it has. score, rank: of the logs as they are. low, high: of the interval of the score, sd: of the
    scores of the draws, low_rank, high_rank: of the interval of the rank; NaN where there is nothing to draw from.
    p_rank: probability of rank 1, 2, ..., NaN where nothing was drawn; equal scores share a rank, so that those of one
    rank may sum to more than 1 over the submissions.
    """

    submission: str
    studies: int
    score: float
    rank: int
    low: float
    high: float
    sd: float
    low_rank: float
    high_rank: float
    p_rank: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Bands:
    """Pointwise bands on the performance profile. tau: (steps,); the others: (submissions, steps), NaN as in Spread.

    heights: of the logs as they are, from each tau on.
    """

    tau: np.ndarray
    heights: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclasses.dataclass(frozen=True)
class Duels:
    """Every submission (rows) against every other (columns), NaN where nothing was drawn.

    beats: probability that the row's score is the higher. ratios: (2, submissions, submissions), ends of the interval
    of the row's time over the column's, the geometric mean over the workloads that both reach in a draw; capped: the
    same over all scored workloads, as in `scoring.rules.comparison`; budget: the same over all, a miss as the budget
    and a second, NaN where no budgets were given. difference: of the row's score less the column's; half of such an
    interval is the smallest difference that as many studies can tell from none.
    """

    beats: np.ndarray
    ratios: np.ndarray
    capped: np.ndarray
    budget: np.ndarray
    difference: np.ndarray

    def smallest_differences(self) -> np.ndarray:
        """(pairs,), ascending: of every two submissions the smallest difference in score that can be told from none."""
        rows, columns = np.triu_indices(len(self.beats), 1)
        low, high = self.difference[:, rows, columns]
        return np.sort((high - low) / 2)


@dataclasses.dataclass(frozen=True)
class Uncertainty:
    """spreads, and the rows of bands and duels, are in the order of the standings.

    draws: 0 where no submission has two studies. bands, duels: of the posterior only. note: one sentence on what was
    drawn, or why nothing was.
    """

    way: Way
    draws: int
    seed: int
    spreads: tuple[Spread, ...]
    bands: Bands | None
    duels: Duels | None
    note: str


def draw(
    trials: Iterable[Trial],
    protocol: Protocol,
    reading: Reading,
    way: Way = "posterior",
    loose: Collection[str] = (),
    draws: int = DRAWS,
    seed: int = SEED,
    budgets: Mapping[str, float] | None = None,
    scores: Scores | None = None,
) -> Uncertainty:
    """The same trials and seed give the same draws, in whatever order the trials come.

    loose: submissions whose trial numbers are no one point each, see `resampling.py`. budgets: charged seconds by
    workload, for the duels that count a miss as the budget. scores: of the trials, where they are known. Raises
    UsageError for an unknown reading.
    """
    trials = tuple(trials)
    observed = score_trials(trials, protocol, reading) if scores is None else scores
    table, standings = observed.table, observed.standings
    rows = [table.submissions.index(standing.submission) for standing in standings]
    counts = np.array([len(table.studies[row]) for row in rows], dtype=np.int64)
    draws = draws if (counts > 1).any() else 0
    times = _times(trials, table, reading, way, loose, draws, seed)
    settled = settle(times, protocol).ratios[:, rows]
    own = settle(median(table.times, axis=1), protocol).ratios[rows]
    # A bootstrap has nothing to draw from one study; the posterior has what the others' tell.
    varies = counts > 0 if way == "posterior" else counts > 1
    scores = integrate(settled, reading)
    bands = duels = None
    if way == "posterior":
        heights = profile(own, TAU)
        bands = Bands(TAU, heights, *_interval(profile(settled, TAU), varies, heights))
        limits = np.array([math.nan if budgets is None else budgets[name] + 1 for name in protocol.workloads])
        scored = slice(len(protocol.workloads))
        # Of a workload that nobody ever reached no time is known.
        known = np.isfinite(table.times[:, :, scored]).any(axis=(0, 1))
        duels = _duels(scores, np.where(known, times[:, rows, scored], np.inf), limits)
    return Uncertainty(
        way=way,
        draws=draws,
        seed=seed,
        spreads=_spreads(standings, counts, varies, scores),
        bands=bands,
        duels=duels,
        note=_note(way, draws, [standings[row].submission for row in np.flatnonzero(counts <= 1)])
        + (untold(trials, of_trials=way == "studies and trials") if draws else ""),
    )


def _times(
    trials: Sequence[Trial],
    table: Table,
    reading: Reading,
    way: Way,
    loose: Collection[str],
    draws: int,
    seed: int,
) -> np.ndarray:
    """(draws, submissions, workloads): medians over studies."""
    generator = np.random.default_rng(seed)
    match way:
        case "posterior":
            return draw_medians(table.times, draws, generator)
        case "studies":
            return draw_studies(table, draws, generator)
        case "studies and trials":
            return draw_studies_and_trials(trials, table, reading, loose, draws, generator)


def _spreads(
    standings: Sequence[Standing], counts: np.ndarray, varies: np.ndarray, scores: np.ndarray
) -> tuple[Spread, ...]:
    """counts: studies of each submission. varies: whether it has an interval. scores: (draws, submissions)."""
    draws, num = scores.shape
    ranks = 1 + np.count_nonzero(scores[:, None, :] > scores[:, :, None], axis=-1)
    p_rank = np.full((num, num), np.nan)
    if draws:
        p_rank = (ranks[..., None] == np.arange(1, num + 1)).mean(axis=0)
    own_scores, own_ranks = (np.array([getattr(s, name) for s in standings], float) for name in ("score", "rank"))
    low, high = _interval(scores, varies, own_scores)
    low_rank, high_rank = np.round(_interval(ranks.astype(float), np.full(num, bool(draws)), own_ranks))
    sd = np.full(num, np.nan)
    if draws > 1:
        sd[varies] = scores[:, varies].std(axis=0, ddof=1)
    columns = (values.tolist() for values in (counts, low, high, sd, low_rank, high_rank, p_rank))
    return tuple(
        Spread(standing.submission, count, standing.score, standing.rank, *spread, tuple(probabilities))
        for standing, count, *spread, probabilities in zip(standings, *columns, strict=True)
    )


def _interval(values: np.ndarray, varies: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """(2, submissions, ...): ends of the percentile interval of (draws, submissions, ...) that covers what is observed.

    NaN where nothing varies.
    """
    ends = np.full((2, *values.shape[1:]), np.nan)
    if len(values):
        low, high = _quantiles(values[:, varies])
        ends[:, varies] = np.minimum(low, observed[varies]), np.maximum(high, observed[varies])
    return ends


def _quantiles(values: np.ndarray) -> np.ndarray:
    """(2, ...): the ends of the interval of (draws, ...) along the draws, without NaN; NaN where nothing is left."""
    last = np.maximum(np.count_nonzero(~np.isnan(values), axis=0) - 1, 0)
    places = np.multiply.outer(_ENDS, last)
    below = np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, last)
    # In order is what stands at these places, of which there are few; NaN is last.
    ordered = np.partition(values, np.unique([below, above]), axis=0)
    low, high = (np.take_along_axis(ordered, index, axis=0) for index in (below, above))
    return low + (places - below) * (high - low)


def _duels(scores: np.ndarray, times: np.ndarray, limits: np.ndarray) -> Duels:
    """scores: (draws, submissions). times: (draws, submissions, scored workloads). limits: (scored workloads,)."""
    draws, num = scores.shape
    if not draws:
        nothing = np.full((num, num), np.nan)
        return Duels(nothing, *([np.stack([nothing, nothing])] * 4))
    beats = (scores[:, :, None] > scores[:, None, :]).mean(axis=0)
    np.fill_diagonal(beats, np.nan)
    reached = np.isfinite(times)
    known = reached.astype(float)
    logs = np.log(times, out=np.zeros_like(times), where=reached)
    with np.errstate(invalid="ignore"):
        multiples = np.where(reached, times / fastest(np.where(reached, times, np.nan)), MAX_RATIO)
        both = np.matmul(known, known.swapaxes(1, 2))
        sums = np.matmul(logs, known.swapaxes(1, 2)) - np.matmul(known, logs.swapaxes(1, 2))
        ratios = np.exp(sums / both)  # NaN where there is no such workload
    capped = np.log(np.minimum(multiples, MAX_RATIO)).mean(axis=-1)
    # What would take longer than the budget is missed, too.
    whole = np.log(np.minimum(np.where(reached, times, np.inf), limits)).mean(axis=-1)
    return Duels(
        beats,
        _quantiles(ratios),
        np.exp(_quantiles(_differences(capped))),
        np.exp(_quantiles(_differences(whole))),
        _quantiles(_differences(scores)),
    )


def _differences(values: np.ndarray) -> np.ndarray:
    """(draws, submissions, submissions): each row's value less each column's."""
    return values[:, :, None] - values[:, None, :]


def _note(way: Way, draws: int, single: Sequence[str]) -> str:
    if not draws:
        return "No intervals: no submission has more than one study, so there is nothing to draw from."
    names = ", ".join(single)
    if way == "posterior":
        lean = f"; what has one study leans on how far the others' lie apart: {names}" if single else ""
        what = "the score that infinitely many studies would give"
        return f"{100 * CONFIDENCE:.0f} % intervals of {what}, from {draws:,} draws{lean}."
    none = f"; none for what has one study: {names}" if single else ""
    return f"{100 * CONFIDENCE:.0f} % intervals from {draws:,} draws of {way}, with replacement{none}."
