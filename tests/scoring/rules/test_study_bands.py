"""One curve for the studies of a cell, whose evaluations lie at different times."""

import math

import numpy as np
import pytest

from algoperf.benchmark.facts import Target
from scoring.logs.curves import Curve
from scoring.logs.trials import Trial
from scoring.rules.studies import studies
from scoring.rules.study_bands import POINTS, standing_for
from scoring.rules.study_bands import study_band as band_of

WER = Target("wer", 0.1, None, "min")


def trial(study: int, times: list[float], values: list[float], number: int = 1, steps: tuple[float, ...] = ()) -> Trial:
    return Trial(
        "a", f"study_{study}", "wmt", "jax", f"trial_{number}", "", len(times), curve=Curve(times, steps, values)
    )


def of_cell(*trials: Trial):
    return studies(trials, "as-documented")["a", "wmt"]


def study_band(cell, target, against):
    return band_of([standing_for(study, target) for study in cell], against)


def test_the_middle_and_the_ends_of_straight_lines():
    cell = of_cell(
        trial(0, [0.0, 10.0], [1.0, 0.0]),
        trial(1, [0.0, 5.0, 10.0], [2.0, 1.5, 1.0]),
        trial(2, [0.0, 10.0], [4.0, 3.0]),
    )
    band = study_band(cell, WER, "seconds")
    assert (band.studies, len(band.at), band.at[0], band.at[-1]) == (3, POINTS, 0, 10)
    assert band.median == pytest.approx(2 - band.at / 10)
    assert band.low == pytest.approx(1 - band.at / 10)
    assert band.high == pytest.approx(4 - band.at / 10)


def test_it_goes_as_far_as_more_than_half_of_the_studies():
    cell = of_cell(*(trial(k, [float(k), end], [1.0, 0.5]) for k, end in enumerate((10.0, 20.0, 30.0))))
    band = study_band(cell, WER, "seconds")
    assert (band.at[0], band.at[-1]) == (1, 20)
    assert np.isfinite([band.median, band.low, band.high]).all()


def test_a_study_is_drawn_by_the_trial_that_came_closest_and_steps_may_be_missing():
    far, near = trial(0, [1.0, 2.0], [0.9, 0.8]), trial(0, [1.0, 2.0], [0.9, 0.2], 2)
    (study,) = of_cell(far, near)
    assert standing_for(study, WER) is near
    assert study_band((study,), WER, "steps") is None
    assert study_band(of_cell(trial(0, [1.0, 2.0], [math.nan, math.nan])), WER, "seconds") is None
    assert study_band((), WER, "seconds") is None


def test_times_that_go_backwards_are_put_in_order():
    band = study_band(of_cell(trial(0, [3.0, 1.0, 2.0], [0.3, 0.1, 0.2])), WER, "seconds")
    assert band.median == pytest.approx(band.at / 10)
