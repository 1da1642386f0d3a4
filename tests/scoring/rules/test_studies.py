"""Which trial won a study, and which one stands for a cell."""

import math

from algoperf.benchmark.facts import Target
from scoring.logs.curves import Curve
from scoring.logs.trials import Trial
from scoring.rules.score import READINGS, median, study_time
from scoring.rules.studies import deciding_trial, studies

WER = Target("wer", 0.1, None, "min")


def trial(study: int, number: int, hit: float, row: int = 0, rows: int = 9, values: tuple[float, ...] = ()) -> Trial:
    hit_row = None if math.isinf(hit) else row
    identity = ("a", f"study_{study}", "wmt", "jax", f"trial_{number}")
    return Trial(*identity, "", rows, hit, hit_row, hit, curve=Curve((), (), values))


def test_a_study_counts_by_the_reading_and_names_its_trial():
    members = [trial(0, 1, 50.0, row=1), trial(0, 2, 40.0, row=3), trial(0, 3, math.inf), trial(0, 4, 1.0, rows=0)]
    for reading, number in zip(READINGS, (2, 1), strict=True):
        (found,) = studies(members, reading)["a", "wmt"]
        assert found.best is members[number - 1]
        assert found.time == study_time(members[:3], reading)
        assert (found.counted, len(found.trials)) == (3, 4)


def test_studies_without_a_hit_or_without_a_readable_trial():
    missed, unreadable = studies([trial(2, 1, math.inf), trial(10, 1, 1.0, rows=0)], "as-documented")["a", "wmt"]
    assert (missed.study, missed.time, missed.best) == ("study_2", math.inf, None)
    assert (unreadable.study, unreadable.best) == ("study_10", None)
    assert math.isnan(unreadable.time)


def test_the_deciding_trial_is_the_median_one():
    times = [30.0, 10.0, 20.0, 50.0, 40.0]
    of_cell = studies([trial(k, 1, time) for k, time in enumerate(times)], "as-documented")["a", "wmt"]
    assert deciding_trial(of_cell, WER).hit_time == median(times) == 30.0
    assert deciding_trial(of_cell[:4], WER).hit_time == 20.0  # of an even count the lower of the middle two


def test_the_deciding_trial_of_a_lost_cell_came_closest():
    of_cell = studies(
        [trial(0, 1, math.inf, values=(0.9, math.nan, 0.2)), trial(0, 2, math.inf, values=(0.15, 0.3))], "as-documented"
    )["a", "wmt"]
    assert deciding_trial(of_cell, WER).trial == "trial_2"
    assert deciding_trial((), WER) is None


def test_where_most_studies_missed_the_slowest_hit_decides():
    of_cell = studies([trial(0, 1, 10.0), trial(1, 1, math.inf), trial(2, 1, math.inf)], "as-documented")["a", "wmt"]
    assert deciding_trial(of_cell, WER).hit_time == 10.0
