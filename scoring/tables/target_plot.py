"""The targets as a picture: for each workload the curves of the seeds, and the target that they make."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scoring.tables.plots import PALETTE

_COLUMNS = 3
_INK, _GREY, _PALE = "0.13", "0.4", "0.89"
_REACHES, _MISSES, _TARGET = PALETTE[0], "#9a9a9a", PALETTE[1]


def target_figure(records: Sequence[dict[str, Any]]) -> Figure:
    """One small picture for each record of `algoperf targets set`: the target's metric on validation, by step."""
    columns = min(_COLUMNS, len(records))
    rows = math.ceil(len(records) / columns)
    figure = Figure(figsize=(0.4 + 3.3 * columns, 0.7 + 2.5 * rows), facecolor="white", layout="constrained")
    figure.suptitle("Targets, and the seeds that made them", x=0.01, ha="left", fontsize=11, color=_INK, weight="bold")
    figure.supxlabel("blue: at the target or better; dots: best values", x=0.99, ha="right", fontsize=8.5, color=_GREY)
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, record in zip(grid, records, strict=False):
        _draw(axes, record)
    for axes in grid[len(records) :]:
        axes.set_visible(False)
    return figure


def _draw(axes: Axes, record: dict[str, Any]) -> None:
    target = record["target"]["validation"]
    for seed in record["seeds"]:
        steps, values = zip(*seed["curve"], strict=True) if seed["curve"] else ((), ())
        values = [math.nan if value is None else value for value in values]
        color = _REACHES if seed["reaches"] else _MISSES
        axes.plot(steps, values, color=color, linewidth=1.3, zorder=3 if seed["reaches"] else 2)
        if seed["validation"] is not None:
            axes.plot(seed["step"], seed["validation"], "o", markersize=3.5, color=color, zorder=4, clip_on=False)
    axes.axhline(target, color=_TARGET, linewidth=1.2, linestyle=(0, (5, 1.5)), zorder=1)
    axes.set_ylim(*_limits(record))
    axes.set_xlim(0, record["steps"])
    style = dict(fontsize=8, parse_math=False)
    axes.set_title(record["workload"], loc="left", fontsize=9.5, color=_INK, weight="bold", parse_math=False)
    axes.set_title(f"{target:.4g}", loc="right", color=_TARGET, weight="bold", **style)
    axes.set_xlabel(f"step, of {record['submission']} trial {record['trial']}", color=_GREY, **style)
    axes.set_ylabel(record["metric"].replace("_", " "), color=_GREY, **style)
    axes.grid(color=_PALE, linewidth=0.6)
    axes.tick_params(colors=_GREY, length=0, labelsize=8)
    for side in axes.spines.values():
        side.set_visible(False)


def _limits(record: dict[str, Any]) -> tuple[float, float]:
    """The best values, and all of the last two thirds: the first ones are often far off."""
    shown = [record["target"]["validation"]]
    for seed in record["seeds"]:
        shown.append(seed["validation"])
        shown += [value for step, value in seed["curve"] if step >= record["steps"] / 3]
    shown = [value for value in shown if value is not None]
    margin = 0.08 * (max(shown) - min(shown)) or 0.08 * abs(shown[0]) or 1.0
    return min(shown) - margin, max(shown) + margin
