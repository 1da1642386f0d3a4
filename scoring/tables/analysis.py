"""How sure the scores are and what they hang on, as tables: the files beside those of `tables.py`.

uncertainty.csv: of each submission its studies, its score, the ends of the 95 % interval, standard deviation,
probability of rank 1 and the ends of the rank's interval by the posterior, and the same over the draws of studies, and
of studies and trials; empty cells where there is nothing to draw from. rank_probabilities.csv: of each rank, by each
way of drawing. profile_bands.csv: the profile from each tau on, and its 95 % band. leave_one_out.csv: for each
submission, study and workload that is left out, who is first without it, whose rank changes or who regains or loses a
workload, and why; one row without a submission where nothing changes. time_ratios.csv: how likely each submission's
score is higher than each other one's, and how much time, and how many steps, it takes compared with it, as geometric
means: over the workloads that both reach, (capped) over all, a miss as 4 times the fastest, and (budget) over all, a
miss as the budget and a second; with the ends of their 95 % intervals. speedup: the official one, 1 /
budget_time_ratio; score_difference: ends of the interval of its score less the other's.
steps_to_target.csv: seconds and steps at the target of each submission and workload, and both as multiples of the
smallest; no multiple where steps do not compare.
"""

import itertools
import math
from collections.abc import Iterable, Sequence

from scoring.certainty.leave_one_out import LeftOut
from scoring.certainty.uncertainty import WAYS, Duels, Uncertainty
from scoring.result import Result
from scoring.rules.comparison import Pair
from scoring.tables.tables import CsvTable, number

_SPREAD = ("low", "high", "sd", "p_rank_1", "low_rank", "high_rank")
_BY = {"posterior": "", "studies": "_with_studies", "studies and trials": "_with_trials"}
_CHANGE = ("submission", "rank_before", "rank_after", "score_before", "score_after", "why")


def analysis_tables(result: Result) -> dict[str, CsvTable]:
    """Name without `.csv` -> table."""
    uncertainties = result.uncertainties
    duels = uncertainties[0].duels
    places = {standing.submission: place for place, standing in enumerate(result.scores.standings)}
    made = (
        CsvTable(
            "uncertainty.csv",
            "scoring.certainty.uncertainty.draw",
            ("submission", "studies", "score", *(f"{name}{by}" for by in _BY.values() for name in _SPREAD)),
            [*_spreads(uncertainties)],
        ),
        CsvTable(
            "rank_probabilities.csv",
            "scoring.certainty.uncertainty.draw",
            ("submission", "by", *(f"rank_{rank}" for rank in range(1, 1 + len(result.scores.standings)))),
            [
                (spread.submission, uncertainty.way, *map(number, spread.p_rank))
                for uncertainty in uncertainties
                for spread in uncertainty.spreads
            ],
        ),
        CsvTable(
            "profile_bands.csv",
            "scoring.certainty.uncertainty.draw",
            ("submission", "tau", "height", "low", "high"),
            [*_bands(uncertainties[0])],
        ),
        CsvTable(
            "leave_one_out.csv",
            "scoring.certainty.leave_one_out.leave_one_out",
            ("left_out", "name", "first", *_CHANGE),
            [row for left_out in result.left_out for row in _changes(left_out)],
        ),
        CsvTable(
            "time_ratios.csv",
            "scoring.rules.comparison.pairs",
            (
                *("submission", "to", "p_beats", "workloads", "time_ratio", "time_ratio_low", "time_ratio_high"),
                *("capped_time_ratio", "capped_time_ratio_low", "capped_time_ratio_high", "budget_time_ratio"),
                *("budget_time_ratio_low", "budget_time_ratio_high", "step_workloads", "step_ratio"),
                *("speedup", "speedup_low", "speedup_high", "score_difference_low", "score_difference_high"),
            ),
            [_pair(pair, duels, (places[pair.submission], places[pair.to])) for pair in result.pairs],
        ),
        CsvTable(
            "steps_to_target.csv",
            "scoring.rules.comparison.reaches",
            ("submission", "workload", "seconds", "steps", "time_ratio", "step_ratio"),
            [
                (
                    *(reach.submission, reach.workload, f"{reach.time:.3f}"),
                    *map(number, (reach.steps, reach.time_ratio, reach.step_ratio)),
                )
                for reach in result.reaches
            ],
        ),
    )
    return {table.name.removesuffix(".csv"): table for table in made}


def _pair(pair: Pair, duels: Duels, place: tuple[int, int]) -> tuple:
    row, column = place
    return (
        *(pair.submission, pair.to, number(duels.beats[place]), pair.workloads),
        *map(number, (pair.time_ratio, *duels.ratios[:, row, column])),
        *map(number, (pair.capped_ratio, *duels.capped[:, row, column])),
        *map(number, (pair.budget_ratio, *duels.budget[:, row, column])),
        *(pair.step_workloads, number(pair.step_ratio)),
        *map(number, (1 / pair.budget_ratio, *(1 / duels.budget[::-1, row, column]))),
        *map(number, duels.difference[:, row, column]),
    )


def _spreads(uncertainties: Sequence[Uncertainty]) -> Iterable[tuple]:
    for of_submission in zip(*(uncertainty.spreads for uncertainty in uncertainties), strict=True):
        numbers = [
            (spread.low, spread.high, spread.sd, spread.p_rank[0], spread.low_rank, spread.high_rank)
            for spread in of_submission
        ]
        numbers += [(math.nan,) * len(_SPREAD)] * (len(WAYS) - len(uncertainties))
        first = of_submission[0]
        yield first.submission, first.studies, number(first.score), *map(number, itertools.chain(*numbers))


def _bands(uncertainty: Uncertainty) -> Iterable[tuple]:
    bands = uncertainty.bands
    for row, spread in enumerate(uncertainty.spreads):
        for tau, *band in zip(bands.tau, bands.heights[row], bands.low[row], bands.high[row], strict=True):
            yield spread.submission, f"{tau:.3f}", *map(number, band)


def _changes(left_out: LeftOut) -> Iterable[tuple]:
    start = (left_out.kind, left_out.name, ", ".join(left_out.first))
    if not left_out.changes:
        yield *start, "", "", "", "", "", "no rank and no workload changes hands"
    for change in left_out.changes:
        scores = (number(change.score_before), number(change.score_after))
        yield *start, change.submission, change.rank_before, change.rank_after, *scores, change.why
