"""What a reader asks after who has won, as tables: the files beside those of `tables.py` and `analysis.py`.

summary.csv: how much there is of what. closest.csv: of each submission and workload the best value of all trials, and
by how much the median study falls short of the target (at or below 0: met). cost.csv: hours, shares and seconds a step
of each submission's trials of a workload, and when the target on test was met; tuning.csv: the same hours of all its
trials, with what they ran on and with. alternatives.csv: scores and ranks under other rules. curve_bands.csv: the
median curve over the studies, with the lowest and highest of them. Cells are empty where the logs do not tell.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from scoring.logs.trials import Trial
from scoring.result import Result
from scoring.rules.cost import Cost, cost, test_time
from scoring.tables.tables import CsvTable, number, seconds

_COST = ("trials", "charged_hours", "timed_trials", "wall_hours", "eval_share", "accelerator_hours", "step_seconds")
_SOFTWARE = 6  # versions that a line names


def answer_tables(result: Result) -> dict[str, CsvTable]:
    """Name without `.csv` -> table."""
    made = (
        CsvTable("summary.csv", "scoring.tables.answers.answer_tables", ("what", "value"), [*_summary(result)]),
        CsvTable(
            "closest.csv",
            "scoring.rules.closeness.closest",
            (
                *("submission", "workload", "metric", "goal", "target", "best_value", "best_seconds", "best_step"),
                *("path", "gap", "share", "studies_reached", "studies", "trials_reached", "trials"),
            ),
            [*_closest(result)],
        ),
        CsvTable(
            "cost.csv", "scoring.rules.cost.cost", ("submission", "workload", *_COST, "test_seconds"), [*_costs(result)]
        ),
        CsvTable(
            "tuning.csv",
            "scoring.rules.cost.cost",
            ("submission", *_COST[:-1], "hardware", "software"),
            [*_tuning(result)],
        ),
        CsvTable(
            "alternatives.csv",
            "scoring.rules.alternatives.alternatives",
            ("rule", "tau_max", "submission", "score", "rank"),
            [
                (way.name, f"{way.tau_max:g}", standing.submission, number(score), rank or "")
                for way in result.alternatives
                for standing, score, rank in zip(result.scores.standings, way.scores, way.ranks, strict=True)
            ],
        ),
        CsvTable(
            "curve_bands.csv",
            "scoring.rules.study_bands.study_band",
            ("submission", "workload", "against", "studies", "at", "median", "low", "high"),
            [*_bands(result)],
        ),
    )
    return {table.name.removesuffix(".csv"): table for table in made}


def _all(result: Result) -> tuple[str, ...]:
    protocol = result.scores.protocol
    return (*protocol.workloads, *protocol.held_out)


def _summary(result: Result) -> Iterable[tuple]:
    protocol = result.scores.protocol
    trials = [trial for trial in result.logs.trials if trial.workload in _all(result)]
    yield "submissions", len(result.scores.standings)
    yield "workloads", len(protocol.workloads)
    yield "held-out workloads", len(protocol.held_out)
    yield "studies", protocol.studies
    yield "trials of a study", protocol.num_trials(result.ruleset)
    yield "trials", len(trials)
    yield "trials with evaluations", sum(trial.readable for trial in trials)
    yield "evaluations", sum(trial.rows for trial in trials)
    yield "draws", result.uncertainties[0].draws
    if result.uncertainties[0].draws and len(result.scores.standings) > 1:
        smallest = result.uncertainties[0].duels.smallest_differences()
        yield "smallest difference of a pair", number(smallest[0])
        yield "smallest difference, median pair", number(smallest[len(smallest) // 2])
        yield "largest of the smallest differences", number(smallest[-1])


def _closest(result: Result) -> Iterable[tuple]:
    for (submission, workload), found in result.closest.items():
        target = result.targets[workload]
        best = (_significant(found.best.value), seconds(found.best.seconds), number(found.best.step))
        reached = (found.studies_reached, found.studies, found.trials_reached, found.trials)
        gap = (_significant(found.gap), number(found.share))
        yield (
            submission,
            workload,
            target.metric,
            target.goal,
            target.validation,
            *best,
            found.trial.path,
            *gap,
            *reached,
        )


def _costs(result: Result) -> Iterable[tuple]:
    for standing in result.scores.standings:
        for workload in _all(result):
            of_cell = result.studies.get((standing.submission, workload), ())
            found = cost(trial for study in of_cell for trial in study.trials)
            if found.trials:
                yield standing.submission, workload, *_cost(found), seconds(test_time(of_cell))


def _tuning(result: Result) -> Iterable[tuple]:
    for standing in result.scores.standings:
        trials = [
            trial
            for workload in _all(result)
            for study in result.studies.get((standing.submission, workload), ())
            for trial in study.trials
        ]
        yield standing.submission, *_cost(cost(trials))[:-1], _hardware(trials), _software(trials)


def _cost(found: Cost) -> tuple:
    return (
        *(found.trials, number(found.charged), found.timed, number(found.wall)),
        *map(number, (found.eval_share, found.accelerator, found.step)),
    )


def _hardware(trials: Iterable[Trial]) -> str:
    """What most trials ran on first."""
    kinds = Counter(trial.record.machine for trial in trials if trial.record.machine)
    return "; ".join(kind for kind, _ in kinds.most_common())


def _software(trials: Sequence[Trial]) -> str:
    """Names and versions that most trials ran with, in the order in which the logs name them."""
    versions: dict[str, Counter[str]] = {}
    for trial in trials:
        for name, version in trial.record.software.items():
            versions.setdefault(name, Counter())[version] += 1
    named = {name: counts.most_common(1)[0][0] for name, counts in versions.items() if name != "platform"}
    return ", ".join(f"{name} {version}" for name, version in list(named.items())[:_SOFTWARE])


def _bands(result: Result) -> Iterable[tuple]:
    for (submission, workload, against), band in result.study_bands.items():
        columns = (side.tolist() for side in (band.at, band.median, band.low, band.high))
        for at, *values in zip(*columns, strict=True):
            yield submission, workload, against, band.studies, _significant(at), *map(_significant, values)


def _significant(value: float) -> str:
    """Seven digits: what a metric of a log has, and no more than a picture shows."""
    return "" if math.isnan(value) else f"{value:.7g}"
