"""The performance profile as a picture: for each submission, the share of workloads within a factor tau of the fastest.

Matplotlib's objects are used without pyplot, so that nothing global is left behind, and the same scores give the same
bytes.
"""

import io
import textwrap
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from scoring.rules.score import MAX_RATIO, Scores, jumps, profile

# Okabe & Ito (2008), without their yellow, which is too light for a line; told apart by the colour-blind.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINE_STYLES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (9, 3)))
_INK, _GREY, _PALE, _RED = "#222222", "#666666", "#e3e3e3", "#B23C00"
_LONGEST_NAME = 26
_LABEL_HEIGHT = 0.215  # inches
_CAVEAT_HEIGHT = 0.24  # inches
_CAVEAT_WIDTH = 100  # letters
_BESIDE, _ROOM = 0.055, 0.45  # of a workload: between curves that coincide, and for all that do
_MARGIN = 0.04  # below 0 and above all workloads


def profile_figure(scores: Scores, title: str, caveat: str = "") -> Figure:
    """One step curve for each submission, named at its end with its score, which is the curve's mean height.

    caveat: stands below the title, in red.
    """
    count = len(scores.standings)
    height = max(3.4, _LABEL_HEIGHT * (count + 1))
    caveats = textwrap.wrap(caveat, _CAVEAT_WIDTH)
    whole = height + 1.3 + _CAVEAT_HEIGHT * len(caveats)
    figure = Figure(figsize=(9.2, whole), facecolor="white")
    axes = figure.add_axes((0.07, 0.62 / whole, 0.565, height / whole))
    ratios = scores.ratios()
    steps = jumps(ratios)
    curves = profile(ratios, steps)
    shown = curves + beside(curves, len(scores.protocol.workloads))
    _prepare_axes(axes, len(scores.protocol.workloads))
    for place in reversed(range(count)):
        axes.step(
            steps,
            shown[place],
            where="post",
            clip_on=False,
            zorder=3,
            **_line(place, count),
        )
    ends = (shown[:, -1] + _MARGIN) / (1 + 2 * _MARGIN)
    for place, label in enumerate(spread(ends, _LABEL_HEIGHT / height)):
        standing = scores.standings[place]
        leader = dict(transform=axes.transAxes, clip_on=False, **_line(place, count))
        axes.plot([1, 1.035, 1.06], [ends[place], label, label], **leader)
        style = dict(transform=axes.transAxes, va="center", fontsize=9.5, color=_INK, parse_math=False)
        weight = "bold" if standing.rank == 1 else "normal"
        axes.text(1.07, label, shortened(standing.submission), weight=weight, **style)
        axes.text(1.6, label, f"{standing.score:.3f}", ha="right", weight=weight, **style)
    style = dict(transform=axes.transAxes, fontsize=9, color=_GREY)
    axes.text(1.6, 1 + 0.12 / height, "score = mean height", ha="right", **style)
    axes.text(0, 1 + 0.12 / height, f"workloads at their target, of {len(scores.protocol.workloads)}", **style)
    style = dict(weight="bold", parse_math=False)
    figure.text(0.021, 1 - 0.32 / whole, title, fontsize=13, color=_INK, **style)
    for line, words in enumerate(caveats, 1):
        figure.text(0.021, 1 - (0.32 + line * _CAVEAT_HEIGHT) / whole, words, fontsize=9.5, color=_RED, **style)
    return figure


def as_svg(figure: Figure) -> bytes:
    # Text becomes outlines: it looks the same wherever the picture is shown.
    with rc_context({"svg.hashsalt": "algoperf", "svg.fonttype": "path"}):
        return _rendered(FigureCanvasSVG(figure).print_svg, metadata={"Date": None, "Creator": None})


def as_png(figure: Figure) -> bytes:
    figure.set_dpi(160)
    return _rendered(FigureCanvasAgg(figure).print_png, metadata={"Software": None})


def _rendered(write: Callable[..., None], metadata: dict[str, None]) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; the tables have it in full.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        write(file, metadata=metadata)
    return file.getvalue()


def _prepare_axes(axes: Axes, num_workloads: int) -> None:
    axes.set_xlim(1, MAX_RATIO)
    axes.set_ylim(-_MARGIN, 1 + _MARGIN)
    axes.set_xticks([1, 1.5, 2, 2.5, 3, 3.5, 4], ["1x", "1.5x", "2x", "2.5x", "3x", "3.5x", "4x"])
    ticks = np.arange(0, num_workloads + 1, 1 if num_workloads <= 12 else 5)
    axes.set_yticks(ticks / num_workloads, [str(tick) for tick in ticks])
    axes.set_xlabel("time to the target, as a multiple of the fastest submission's", fontsize=9.5, color=_GREY)
    axes.grid(axis="y", color=_PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_GREY, length=0, labelsize=9)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def _line(place: int, count: int) -> dict[str, Any]:
    """Colour and dashes of a submission by its place: colours first, dashes where they run out."""
    dashes, color = divmod(place, len(PALETTE))
    return dict(
        color=PALETTE[color],
        linestyle=LINE_STYLES[dashes % len(LINE_STYLES)],
        linewidth=2.6 if place == 0 else 1.7 if count <= 14 else 1.1,
        solid_capstyle="butt",
        solid_joinstyle="miter",
    )


def beside(curves: np.ndarray, num_workloads: int) -> np.ndarray:
    """(submissions, steps), as shares of all workloads: by how much each curve moves where it coincides with others.

    Curves of few workloads often do. One that is alone stays at its height; none goes below the lowest or above the
    highest, nor far from its own. curves: the heights, (submissions, steps), best first.
    """
    moves = np.zeros_like(curves)
    most = 1
    for column, heights in enumerate(curves.T):
        for height in np.unique(heights):
            members = np.flatnonzero(heights == height)
            most = max(most, len(members))
            last = len(members) - 1
            moves[members, column] = {0.0: last, 1.0: 0}.get(height, last / 2) - np.arange(len(members))
    return moves * min(_BESIDE, _ROOM / most) / num_workloads


def spread(heights: np.ndarray, gap: float) -> np.ndarray:
    """The heights (best place first), moved so that labels at them are `gap` apart and inside the axes."""
    order = np.lexsort((np.arange(len(heights)), -heights))
    spread = heights.copy()
    ceiling = 1.0
    for place in order:
        spread[place] = ceiling = min(spread[place], ceiling)
        ceiling -= gap
    floor = 0.0
    for place in reversed(order):
        spread[place] = floor = max(spread[place], floor)
        floor += gap
    return spread


def shortened(name: str) -> str:
    """Without its middle where it is long: names of one family differ at their ends."""
    return name if len(name) <= _LONGEST_NAME else f"{name[:14]}…{name[14 + 1 - _LONGEST_NAME :]}"
