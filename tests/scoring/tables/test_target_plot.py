"""The picture of targets: what reaches is blue, the target has a color of its own, and all that matters is inside."""

import math

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from scoring.tables.plots import PALETTE
from scoring.tables.target_plot import target_figure

BLUE, VERMILION = PALETTE[:2]


def seed(curve: list, reaches: bool) -> dict:
    """A seed whose values are to be small."""
    step, value = min(((step, value) for step, value in curve if value is not None), key=lambda point: point[1])
    return {"curve": curve, "reaches": reaches, "step": step, "validation": value}


SEEDS = [
    seed([[10, 9.0], [20, 0.6], [30, 0.40], [40, 0.45]], True),
    seed([[10, 9.5], [20, 0.7], [30, None], [40, 0.60]], False),
    {"curve": [], "reaches": False, "step": None, "validation": None},  # it failed before its first evaluation
]


def record(workload: str = "criteo1tb", **changes) -> dict:
    shown = {"workload": workload, "metric": "log_loss", "submission": "mine", "trial": 3, "steps": 40}
    return {**shown, "target": {"validation": 0.5}, "seeds": SEEDS, **changes}


def drawn(figure: Figure) -> Axes:
    return figure.axes[0]


def test_curves_are_the_seeds_own_and_blue_where_they_reach():
    axes = drawn(target_figure([record()]))
    curves = [line for line in axes.lines if line.get_linestyle() == "-" and line.get_marker() == "None"]
    assert [list(line.get_xdata()) for line in curves] == [[10, 20, 30, 40], [10, 20, 30, 40], []]
    assert list(curves[0].get_ydata()) == [9.0, 0.6, 0.40, 0.45]
    assert math.isnan(curves[1].get_ydata()[2])
    assert [to_hex(line.get_color()) == BLUE.lower() for line in curves] == [True, False, False]
    assert curves[0].get_zorder() > curves[1].get_zorder()  # what reaches is not hidden by what does not


def test_dots_are_the_best_values_in_their_curves_colors():
    axes = drawn(target_figure([record()]))
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in dots] == [(30, 0.40), (40, 0.60)]
    assert [to_hex(line.get_color()) == BLUE.lower() for line in dots] == [True, False]


def test_the_target_is_a_line_across_and_its_number_has_the_same_color():
    axes = drawn(target_figure([record()]))
    (line,) = [line for line in axes.lines if list(line.get_ydata()) == [0.5, 0.5]]
    number = axes.get_title(loc="right")
    assert (to_hex(line.get_color()), number) == (VERMILION.lower(), "0.5")
    assert axes.get_title(loc="left") == "criteo1tb"
    assert axes.get_xlabel() == "step, of mine trial 3"
    assert axes.get_ylabel() == "log loss"


def test_the_best_values_and_the_last_two_thirds_are_inside_and_the_first_ones_need_not_be():
    axes = drawn(target_figure([record()]))
    low, high = axes.get_ylim()
    assert low == pytest.approx(0.40 - 0.08 * 0.30)
    assert high == pytest.approx(0.70 + 0.08 * 0.30)
    assert axes.get_xlim() == (0, 40)


@pytest.mark.parametrize("target", [0.5, 0.0])
def test_a_target_that_no_seed_has_a_value_for_is_inside(target: float):
    low, high = drawn(target_figure([record(target={"validation": target}, seeds=SEEDS[2:])])).get_ylim()
    assert low < target < high


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (4, 2, 3), (9, 3, 3)])
def test_each_record_has_a_picture_and_the_places_left_over_are_empty(count: int, rows: int, columns: int):
    names = [f"$workload_{place}" for place in range(count)]  # a dollar begins no formula
    figure = target_figure([record(name) for name in names])
    figure.canvas.draw()
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()] == names
    assert len(figure.axes) == rows * columns
