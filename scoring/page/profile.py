"""The performance profile as a picture of the page: readable as it stands, and to be asked with a pointer."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np

from scoring.certainty.uncertainty import Bands
from scoring.page.certainty import spreads
from scoring.page.markup import Context, attribute, cell, embedded, finite, name_cell, row, style_of
from scoring.page.markup import section as as_section
from scoring.rules.score import MAX_RATIO, Scores, jumps, profile
from scoring.tables.plots import shortened, spread

_TAUS = (1, 1.5, 2, 2.5, 3, 3.5, 4)
_LABEL = 19  # pixels between the names at the curves' ends


@dataclasses.dataclass(frozen=True)
class _Frame:
    """Where the plot lies in its picture, in pixels. labels: width left of it for names, 0 for a picture without."""

    width: int
    height: int
    left: int = 34
    top: int = 14
    bottom: int = 56
    labels: int = 0

    @property
    def right(self) -> int:
        return self.width - self.labels - 14

    @property
    def floor(self) -> int:
        return self.height - self.bottom

    def x(self, tau: float) -> float:
        return self.left + (self.right - self.left) * (tau - 1) / (MAX_RATIO - 1)

    def y(self, height: float) -> float:
        return self.floor - (self.floor - self.top) * height


def section(context: Context) -> str:
    scores = context.result.scores
    wide = _Frame(width=980, height=max(340, _LABEL * len(scores.standings) + 80), labels=270)
    narrow = _Frame(width=380, height=300)
    legend = "".join(
        row([name_cell(place, standing.submission), cell(f"{standing.score:.3f}", "number")], place)
        for place, standing in enumerate(scores.standings)
    )
    data = {
        "submissions": context.submissions,
        "workloads": scores.protocol.workloads,
        "ratios": [[finite(ratio) for ratio in ratios] for ratios in scores.ratios()],
        "lost": [[standing.cells[name].lost for name in scores.protocol.workloads] for standing in scores.standings],
    }
    bands = " The band is the first one's interval; one that is chosen shows its own." if spreads(context) else ""
    body = (
        f'<figure class="profile wide">{_picture(context, wide)}</figure>\n'
        f'<figure class="profile narrow">{_picture(context, narrow)}<table class="legend">{legend}</table></figure>\n'
        f'<p id="profile-says" class="says" aria-live="polite"></p>{embedded("profile-data", data)}'
    )
    return as_section(
        "profile",
        "Performance profile",
        "For each submission, how many workloads it brings to their target within a multiple τ of the fastest "
        "submission's time. Higher and further left is better; the score is a curve's mean height. Curves that "
        f"coincide are drawn side by side.{bands}",
        body,
        [context.tables["profile"], context.tables["scores"]],
    )


def _picture(context: Context, frame: _Frame) -> str:
    scores, bands = context.result.scores, context.result.uncertainties[0].bands
    count = len(scores.standings)
    ratios = scores.ratios()
    steps = jumps(ratios)
    curves = profile(ratios, steps)
    dodge = min(2.6, 14 / max(count - 1, 1))
    shifts = [-((count - 1) / 2 - place) * dodge for place in range(count)]
    lines = "".join(
        f'<g class="curve {style_of(place)}{" first" if place == 0 else ""}" data-s="{place}" '
        f'transform="translate(0 {shifts[place]:.2f})">'
        f'{_band(frame, bands, place)}<path class="line" d="{_path(_corners(frame, steps, curves[place]))}"/></g>'
        for place in reversed(range(count))
    )
    return (
        f'<svg viewBox="0 0 {frame.width} {frame.height}" role="img" data-left="{frame.left}" '
        f'data-right="{frame.right}" data-top="{frame.top}" data-floor="{frame.floor}" '
        f'aria-label="Performance profile of {count} submissions">'
        f"{_axes(frame, len(scores.protocol.workloads))}{lines}"
        f"{_labels(scores, frame, curves[:, -1], shifts) if frame.labels else ''}"
        f'<line class="cross" x1="0" x2="0" y1="{frame.top}" y2="{frame.floor}" visibility="hidden"/></svg>'
    )


def _corners(frame: _Frame, steps: Sequence[float], heights: Sequence[float]) -> list[tuple[float, float]]:
    """Of a step curve, from its left to its right end. heights: from each of the steps on."""
    corners = [(frame.x(1), frame.y(heights[0]))]
    for before, height, tau in zip(heights, heights[1:], steps[1:], strict=False):
        if height != before:
            corners += [(frame.x(tau), frame.y(before)), (frame.x(tau), frame.y(height))]
    return [*corners, (frame.x(MAX_RATIO), frame.y(heights[-1]))]


def _path(corners: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in corners)


def _band(frame: _Frame, bands: Bands, place: int) -> str:
    """The band around a submission's curve; nothing where it has none."""
    if place >= len(bands.low) or np.isnan(bands.low[place]).any():
        return ""
    above, below = (_corners(frame, bands.tau, side[place]) for side in (bands.high, bands.low))
    return f'<path class="band" d="{_path([*above, *reversed(below)])}Z"/>'


def _axes(frame: _Frame, num_workloads: int) -> str:
    every = math.ceil(num_workloads / 12)
    rows = "".join(
        f'<line class="grid" x1="{frame.left}" x2="{frame.right}" y1="{(y := frame.y(number / num_workloads)):.1f}" '
        f'y2="{y:.1f}"/><text class="tick" x="{frame.left - 8}" y="{y + 4:.1f}" text-anchor="end">{number}</text>'
        for number in range(0, num_workloads + 1, every)
    )
    columns = "".join(
        f'<text class="tick" x="{frame.x(tau):.1f}" y="{frame.floor + 28}" text-anchor="middle">{tau:g}x</text>'
        for tau in _TAUS
    )
    title = (
        f'<text class="tick" x="{(frame.left + frame.right) / 2:.1f}" y="{frame.height - 6}" text-anchor="middle">'
        "τ: time to target, as a multiple of the fastest</text>"
    )
    return f'<g class="axes">{rows}{columns}{title}</g>'


def _labels(scores: Scores, frame: _Frame, ends: np.ndarray, shifts: Sequence[float]) -> str:
    """Names and scores at the curves' ends, led there by a line where they had to move."""
    tall = frame.floor - frame.top
    at = ends - np.array(shifts) / tall
    texts = ""
    for place, height in enumerate(spread(at, _LABEL / tall)):
        standing = scores.standings[place]
        start, y = frame.y(at[place]), frame.y(height)
        texts += (
            f'<g class="label pick {style_of(place)}" data-s="{place}" role="button" tabindex="0">'
            f'<path class="line" d="M{frame.right} {start:.1f}L{frame.right + 16} {y:.1f}h10"/>'
            f'<text x="{frame.right + 32}" y="{y + 4.5:.1f}">{attribute(shortened(standing.submission))}'
            f"<title>{attribute(standing.submission)}</title></text>"
            f'<text class="number" x="{frame.width - 4}" y="{y + 4.5:.1f}" text-anchor="end">'
            f"{standing.score:.3f}</text></g>"
        )
    return texts
