"""The profile's picture: readable for few and many, the same bytes each time, and no text taken for markup."""

import math
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from algoperf.benchmark.protocol import load_protocol
from scoring.logs.read import read_logs
from scoring.logs.trials import Trial
from scoring.rules.score import Scores, score_trials
from scoring.tables.plots import as_png, as_svg, beside, profile_figure

V05, V06 = load_protocol("v0.5"), load_protocol("v0.6")


def scores_of(names: list[str]) -> Scores:
    """Submissions of which each is a little slower than the one before, on every workload."""
    trials = [
        Trial(name, "study_0", workload, "jax", "trial_1", "", 9, 100 + 10 * place, 3, 100 + 10 * place)
        for place, name in enumerate(names)
        for workload in V06.workloads
    ]
    return score_trials(trials, V06, "as-documented")


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_the_published_leaderboard_is_drawn_with_names_and_scores():
    scores = score_trials(read_logs("published:v0.5-external", V05, "external").trials, V05, "as-documented")
    figure = profile_figure(scores, "AlgoPerf v0.5")
    for standing in scores.standings:
        assert {standing.submission, f"{standing.score:.3f}"} <= set(texts(figure))
    curve = figure.axes[0].lines[-1 - 11].get_ydata()  # drawn last, before the eleven lines that lead to the names
    assert curve[-1] == 7 / 8  # shampoo_submission


@pytest.mark.parametrize("count", [1, 2, 11, 60])
def test_names_never_overlap_and_stay_inside(count: int):
    figure = profile_figure(scores_of([f"submission_{place}" for place in range(count)]), "many")
    figure.canvas.draw()
    boxes = sorted(
        (text.get_window_extent() for text in figure.axes[0].texts if text.get_text().startswith("submission")),
        key=lambda box: box.y0,
    )
    assert len(boxes) == count
    for lower, upper in pairwise(boxes):
        assert lower.y1 <= upper.y0
    for box in boxes:
        assert figure.bbox.contains(box.x0, box.y0)
        assert figure.bbox.contains(box.x1, box.y1)


def test_a_line_leads_from_the_end_of_each_curve_to_its_name():
    scores = scores_of([f"submission_{place}" for place in range(11)])
    axes = profile_figure(scores, "many").axes[0]
    curves, leaders = axes.lines[:11][::-1], axes.lines[11:]  # the first one's curve is drawn last
    names = [text for text in axes.texts if text.get_text().startswith("submission")]
    for curve, leader, name in zip(curves, leaders, names, strict=True):
        x, y = leader.get_data()
        end = axes.transAxes.inverted().transform(axes.transData.transform((4, curve.get_ydata()[-1])))
        assert (x[0], y[0]) == pytest.approx(end)
        assert list(x) == sorted(x)
        assert x[-1] < name.get_position()[0]
        assert y[-1] == name.get_position()[1]
        assert leader.get_color() == curve.get_color()


@pytest.mark.parametrize(("count", "width"), [(14, 1.7), (15, 1.1)])
def test_more_than_fourteen_lines_are_thinner(count: int, width: float):
    figure = profile_figure(scores_of([f"submission_{place}" for place in range(count)]), "many")
    assert {line.get_linewidth() for line in figure.axes[0].lines} & {2.6, 1.7, 1.1} == {2.6, width}


@pytest.mark.parametrize("count", [2, 60])
def test_a_caveat_stands_between_the_title_and_the_picture(count: int):
    scores = scores_of([f"submission_{place}" for place in range(count)])
    caveat = "partial: 3,437 of 3,500 trials; mixed hardware: 2 kinds"
    figure = profile_figure(scores, "AlgoPerf v0.6, external tuning", caveat)
    figure.canvas.draw()
    title, below = (text.get_window_extent() for text in figure.texts)
    assert below.y1 <= title.y0
    assert below.y0 >= max(text.get_window_extent().y1 for text in figure.axes[0].texts)
    assert figure.bbox.contains(below.x1, below.y0)
    assert figure.bbox.contains(title.x0, title.y1)


def test_the_same_scores_give_the_same_bytes():
    first, second = (profile_figure(scores_of(["a", "b"]), "twice") for _ in range(2))
    assert as_svg(first) == as_svg(second)
    assert as_png(first) == as_png(second)
    assert as_png(first).startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "--> & \"'", "$\\frac{1$ _x^2", "_hidden", "提出物", "a" * 300]
)
def test_names_are_text_and_nothing_else(name: str):
    svg = as_svg(profile_figure(scores_of([name, "other"]), name))
    root = ElementTree.fromstring(svg)
    assert not [element for element in root.iter() if element.tag.endswith("script")]


def test_nobody_at_any_target_is_a_picture_too():
    trials = [Trial(name, "study_0", "wmt", "jax", "trial_1", "", 9) for name in ("a", "b")]
    scores = score_trials(trials, V06, "as-documented")
    assert math.isinf(scores.ratios().min())
    ElementTree.fromstring(as_svg(profile_figure(scores, "none")))


def test_a_long_caveat_is_broken_into_lines_that_stay_inside():
    caveat = "partial: 37 of 40 trials; " + "; ".join(["hardware differs: these on another kind of machine"] * 3)
    figure = profile_figure(scores_of(["a", "b"]), "AlgoPerf v0.6", caveat)
    figure.canvas.draw()
    title, *lines = figure.texts
    assert " ".join(line.get_text() for line in lines) == caveat
    assert len(lines) > 1
    for above, line in pairwise((title, *lines)):
        box = line.get_window_extent()
        assert box.y1 <= above.get_window_extent().y0
        assert box.x1 <= figure.bbox.width
        assert box.y0 >= figure.axes[0].get_window_extent().y1


def test_only_curves_that_coincide_are_moved_and_none_beyond_the_ends():
    curves = np.array([[0.5, 1.0], [0.5, 1.0], [0.25, 0.5], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    moved = curves + beside(curves, 4)
    assert (moved[2] == curves[2]).all()
    assert moved[0, 0] > 0.5 > moved[1, 0]
    assert moved[0, 1] == 1 > moved[1, 1]
    assert moved[5, 0] == 0 < moved[4, 0] < moved[3, 0]
    assert np.abs(moved - curves).max() < 0.5 / 4


def test_sixty_that_coincide_stay_close_to_their_level():
    curves = np.full((60, 1), 0.5)
    assert np.abs(beside(curves, 8)).max() < 0.25 / 8
