"""How sure a leaderboard is: a bootstrap of the studies, and of the tuning trials, through all rules of the score.

One draw is one leaderboard. For each submission by itself, as many of its studies as it has are drawn with replacement,
and each drawn study comes with its times on all workloads. So a submission's studies are resampled jointly over the
workloads, because a study is the unit that was repeated: whatever its workloads share (a machine, a version of the
software, a state of the cluster) stays together, and nothing has to be assumed about it. Submissions are resampled
independently of one another: study 0 of one has nothing in common with study 0 of another. Medians, the 4x rule against
the draw's own fastest, held-out workloads and scores follow anew in each draw.

`studies and trials` draws the tuning trials, too: for each submission as many trial numbers as it has, with
replacement, and a study counts by the best of those. A trial number is one hyperparameter point, the same in every
study and on every workload (of `experiment/plan.py`, and of the v0.5 leaderboard by its hparams.json), so that what is
drawn holds for all of a submission's studies and workloads: were it drawn for each study anew, the median over the
studies would hide the luck of the search. It answers what another search of as many points could have given. A draw
never has a point that was not tried, and its best is as good or worse than what was found: scores tend to be lower in
the draws.

Intervals and bands are percentiles of the draws: Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 13.
A submission with one study has nothing to resample over: it gets no interval, and each draw has that study.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import numpy as np

from algoperf.benchmark.protocol import Protocol
from scoring.logs.trials import Trial, natural
from scoring.rules.score import (
    MAX_RATIO,
    Reading,
    Standing,
    Table,
    counted_time,
    integrate,
    median,
    preference,
    profile,
    score_table,
    settle,
    tabulate,
)

Resampled: TypeAlias = Literal["studies", "studies and trials"]
RESAMPLED: tuple[Resampled, ...] = ("studies", "studies and trials")
CONFIDENCE = 0.95
DRAWS = 1_000
SEED = 0
TAU = np.linspace(1, MAX_RATIO, 121)  # where the bands of the profile are given
_ENDS = (0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2)


@dataclasses.dataclass(frozen=True)
class Spread:
    """One submission over the draws.

    studies: how many it has. score: of the logs as they are. low, high: of the interval; sd: of the scores of the
    draws; NaN where there is nothing to resample over. p_rank: probability of rank 1, 2, ..., NaN where nothing was
    drawn; equal scores share a rank, so that those of one rank may sum to more than 1 over the submissions.
    """

    submission: str
    studies: int
    score: float
    low: float
    high: float
    sd: float
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
class Uncertainty:
    """spreads, and the rows of bands, are in the order of the standings.

    draws: 0 where no submission has two studies. note: one sentence on what was drawn, or why nothing was.
    """

    resampled: Resampled
    draws: int
    seed: int
    spreads: tuple[Spread, ...]
    bands: Bands
    note: str


def resample(
    trials: Iterable[Trial],
    protocol: Protocol,
    reading: Reading,
    resampled: Resampled = "studies",
    draws: int = DRAWS,
    seed: int = SEED,
) -> Uncertainty:
    """The same trials and seed give the same draws, in whatever order the trials come.

    Raises UsageError for an unknown reading.
    """
    trials = tuple(trials)
    table = tabulate(trials, protocol, reading)
    standings = score_table(table, protocol, reading).standings
    rows = [table.submissions.index(standing.submission) for standing in standings]
    counts = np.array([len(table.studies[row]) for row in rows], dtype=np.int64)
    draws = draws if (counts > 1).any() else 0
    ratios = settle(median(_times(trials, table, reading, resampled, draws, seed), axis=2), protocol).ratios[:, rows]
    own = settle(median(table.times, axis=1), protocol).ratios[rows]
    return Uncertainty(
        resampled=resampled,
        draws=draws,
        seed=seed,
        spreads=_spreads(standings, counts, integrate(ratios, reading)),
        bands=Bands(TAU, profile(own, TAU), *_interval(profile(ratios, TAU), counts > 1)),
        note=_note(resampled, draws, [standings[row].submission for row in np.flatnonzero(counts <= 1)]),
    )


def _times(
    trials: Sequence[Trial], table: Table, reading: Reading, resampled: Resampled, draws: int, seed: int
) -> np.ndarray:
    """(draws, submissions, studies, workloads): the table's times, drawn."""
    generator = np.random.default_rng(seed)
    drawn = _draw(generator, [len(studies) for studies in table.studies], draws)
    if resampled == "studies":
        return table.times[np.arange(len(table.submissions))[:, None], drawn]
    of_draws = _draw_trials(generator, _Runs.of(trials, table, reading), draws)
    return np.take_along_axis(of_draws, drawn[..., None], axis=2)


def _draw(generator: np.random.Generator, counts: Sequence[int], draws: int) -> np.ndarray:
    """(draws, len(counts), max(counts)): of each row, `count` indices below `count`, with replacement."""
    counts = np.array(counts, dtype=np.int64)[:, None]
    places = np.arange(counts.max(initial=0))
    uniform = generator.random((draws, len(counts), len(places)))
    return np.where(places < counts, (uniform * counts).astype(np.int64), places)


@dataclasses.dataclass(frozen=True)
class _Runs:
    """The trials behind a table.

    counts: trial numbers of each submission. order: (submissions, studies, trials, workloads), the place of a trial
    among its study's on a workload, 0 the one that counts; the number of trials where it does not count. times: the
    same shape and one more trial, charged seconds by place, the last NaN.
    """

    counts: tuple[int, ...]
    order: np.ndarray
    times: np.ndarray

    @classmethod
    def of(cls, trials: Sequence[Trial], table: Table, reading: Reading) -> "_Runs":
        readable = [trial for trial in trials if trial.counts and trial.workload in table.workloads]
        names: dict[str, set[str]] = {submission: set() for submission in table.submissions}
        cells: dict[tuple[int, int, int], list[Trial]] = {}
        rows = {submission: row for row, submission in enumerate(table.submissions)}
        columns = {workload: column for column, workload in enumerate(table.workloads)}
        studies = [{study: place for place, study in enumerate(of_row)} for of_row in table.studies]
        for trial in readable:
            row = rows[trial.submission]
            names[trial.submission].add(trial.trial)
            cells.setdefault((row, studies[row][trial.study], columns[trial.workload]), []).append(trial)
        numbers = [
            {name: place for place, name in enumerate(sorted(names[submission], key=natural))}
            for submission in table.submissions
        ]
        depth = max(map(len, numbers), default=0)
        num_rows, num_studies, num_columns = table.times.shape
        order = np.full((num_rows, num_studies, depth, num_columns), depth)
        times = np.full((num_rows, num_studies, depth + 1, num_columns), np.nan)
        for (row, study, column), members in cells.items():
            best_first = sorted(members, key=lambda trial: (preference(trial, reading), natural(trial.trial)))
            for place, trial in enumerate(best_first):
                order[row, study, numbers[row][trial.trial], column] = place
                times[row, study, place, column] = counted_time(trial, reading)
        return cls(tuple(map(len, numbers)), order, times)


def _draw_trials(generator: np.random.Generator, runs: _Runs, draws: int) -> np.ndarray:
    """(draws, submissions, studies, workloads): each study's time by the best of the trials drawn."""
    drawn = _draw(generator, runs.counts, draws)
    places = np.arange(len(runs.counts))
    best = np.full((draws, len(runs.counts), *runs.order.shape[1::2]), runs.order.shape[2])
    for trial in range(drawn.shape[-1]):
        # A place past a submission's own trials is padding, which is never the best.
        np.minimum(best, runs.order[places, :, drawn[..., trial]], out=best)
    rows, studies, columns = np.ogrid[tuple(map(slice, best.shape[1:]))]
    return runs.times[rows, studies, best, columns]


def _spreads(standings: Sequence[Standing], counts: np.ndarray, scores: np.ndarray) -> tuple[Spread, ...]:
    """counts: studies of each submission. scores: (draws, submissions)."""
    draws, num = scores.shape
    ranks = 1 + np.count_nonzero(scores[:, None, :] > scores[:, :, None], axis=-1)
    p_rank = np.full((num, num), np.nan)
    if draws:
        p_rank = (ranks[..., None] == np.arange(1, num + 1)).mean(axis=0)
    low, high = _interval(scores, counts > 1)
    sd = np.full(num, np.nan)
    if draws > 1:
        sd[counts > 1] = scores[:, counts > 1].std(axis=0, ddof=1)
    columns = zip(standings, *(values.tolist() for values in (counts, low, high, sd, p_rank)), strict=True)
    return tuple(
        Spread(standing.submission, count, standing.score, below, above, deviation, tuple(probabilities))
        for standing, count, below, above, deviation, probabilities in columns
    )


def _interval(values: np.ndarray, varies: np.ndarray) -> np.ndarray:
    """(2, submissions, ...): ends of the percentile interval of (draws, submissions, ...)."""
    ends = np.full((2, *values.shape[1:]), np.nan)
    if len(values):
        ends[:, varies] = np.quantile(values[:, varies], _ENDS, axis=0)
    return ends


def _note(resampled: Resampled, draws: int, single: Sequence[str]) -> str:
    if not draws:
        return "No intervals: no submission has more than one study, so there is nothing to resample over."
    none = f"; none for what has one study: {', '.join(single)}" if single else ""
    return f"{CONFIDENCE:.0%} intervals from {draws:,} draws of {resampled}, with replacement{none}."
