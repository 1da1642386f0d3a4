"""The bootstrap: leaderboards from studies, and tuning trials, drawn with replacement.

`studies` draws, for each submission and workload by itself, as many of its studies as it has. Workload by workload,
because nothing that the workloads of one study share shows in the data: in 2,515 pairs of workloads of the published
logs the correlation of their times within a study is -0.001, give or take 0.021. Drawn as a whole, a submission's three
studies are ten different draws, and intervals are too narrow; by workload they are ten for each.

`studies and trials` draws the tuning trials, too: for each submission as many trial numbers as it has, with
replacement, and a study counts by the best of those. Where a trial number is one hyperparameter point, the same in
every study and on every workload, what is drawn holds for all of a submission's studies and workloads: were it drawn
for each study anew, the median over the studies would hide the luck of the search. Where it is not (the points are
dealt to the studies, or a submission changed them), the trials are drawn for each study and workload by themselves. It
answers what another search of as many points could have given. A draw never has a point that was not tried, and its
best is as good or worse than what was found: scores tend to be lower in the draws.

Source: Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 13.
"""

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np

from scoring.logs.trials import Trial, natural
from scoring.rules.score import Reading, Table, counted_time, median, preference


def draw_studies(table: Table, draws: int, generator: np.random.Generator) -> np.ndarray:
    """(draws, submissions, workloads): medians over the drawn studies."""
    counts = np.array([len(studies) for studies in table.studies], dtype=np.int64)
    drawn = _draw_of_studies(generator, counts, len(table.workloads), draws)
    rows, columns = np.ogrid[: len(counts), : len(table.workloads)]
    return median(table.times[rows[:, None], drawn, columns[:, None]], axis=2)


def draw_studies_and_trials(
    trials: Sequence[Trial],
    table: Table,
    reading: Reading,
    loose: Collection[str],
    draws: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """As `draw_studies`, of studies whose trials are drawn. loose: submissions whose trial numbers are no one point."""
    counts = np.array([len(studies) for studies in table.studies], dtype=np.int64)
    drawn = _draw_of_studies(generator, counts, len(table.workloads), draws)
    runs = _Runs.of(trials, table, reading)
    is_loose = np.array([submission in loose for submission in table.submissions], dtype=bool)
    return median(np.take_along_axis(_draw_trials(generator, runs, is_loose, draws), drawn, axis=2), axis=2)


def _draw_of_studies(generator: np.random.Generator, counts: np.ndarray, num_workloads: int, draws: int) -> np.ndarray:
    """(draws, submissions, studies, workloads): of each submission's studies as many as it has, then padding."""
    drawn = _draw(generator, np.repeat(counts, num_workloads), draws)
    return drawn.reshape(draws, len(counts), num_workloads, counts.max(initial=0)).swapaxes(2, 3)


def _draw(generator: np.random.Generator, counts: np.ndarray, draws: int) -> np.ndarray:
    """(draws, len(counts), max(counts)): of each row, `count` indices below `count`, with replacement."""
    counts = counts[:, None]
    places = np.arange(counts.max(initial=0))
    uniform = generator.random((draws, len(counts), len(places)))
    return np.where(places < counts, (uniform * counts).astype(np.int64), places)


@dataclasses.dataclass(frozen=True)
class _Runs:
    """The trials behind a table.

    counts: trial numbers of each submission. order: (submissions, studies, trials, workloads), the place of a trial
    among its study's on a workload, 0 the one that counts; the number of trials where it is not readable. times: the
    same shape and one more trial, charged seconds by place, the last NaN.
    """

    counts: np.ndarray
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
        return cls(np.array(list(map(len, numbers)), dtype=np.int64), order, times)


def _draw_trials(generator: np.random.Generator, runs: _Runs, is_loose: np.ndarray, draws: int) -> np.ndarray:
    """(draws, submissions, studies, workloads): each study's time by the best of the trials drawn."""
    drawn = _draw(generator, runs.counts, draws)
    places = np.arange(len(runs.counts))
    best = np.full((draws, len(runs.counts), *runs.order.shape[1::2]), runs.order.shape[2])
    for trial in range(drawn.shape[-1]):
        # A place past a submission's own trials is padding, which is never the best.
        np.minimum(best, runs.order[places, :, drawn[..., trial]], out=best)
    for row in np.flatnonzero(is_loose):
        best[:, row] = _draw_loose_trials(generator, runs.order[row], runs.counts[row], draws)
    rows, studies, columns = np.ogrid[tuple(map(slice, best.shape[1:]))]
    return runs.times[rows, studies, best, columns]


def _draw_loose_trials(generator: np.random.Generator, order: np.ndarray, count: int, draws: int) -> np.ndarray:
    """(draws, studies, workloads): the best place of as many trials, drawn for each study and workload."""
    studies, depth, workloads = order.shape
    drawn = generator.integers(max(count, 1), size=(draws, studies, count, workloads))
    rows, _, columns = np.ogrid[:studies, :1, :workloads]
    return order[rows, drawn, columns].min(axis=2, initial=depth)
