"""The performance profile: readable as it stands, and to be pointed at."""

from typing import Any

import numpy as np

from scoring.certainty.uncertainty import Bands
from scoring.page.certainty import spreads
from scoring.page.markup import Context, cell, figure, name_cell, row, table
from scoring.page.markup import section as as_section
from scoring.rules.score import MAX_RATIO, jumps, profile
from scoring.tables.plots import beside

_TAUS = (1, 1.5, 2, 2.5, 3, 3.5, 4)
_WIDE = 0.22  # of the picture's width, for what stands at the curves' ends


def section(context: Context, picture: bytes) -> str:
    """picture: the profile as SVG, for paper and for those who let no script run."""
    scores = context.result.scores
    # Of the picture that a script draws, which is not the one on paper.
    drawing = "Numbers at the ends are places of the legend."
    if spreads(context):
        drawing += " The band is the first one's interval; one that is chosen shows its own."
    label = f"Performance profile of {len(scores.standings)} submissions"
    drawn = figure("profile-plot", label, _content(context), picture)
    return as_section(
        "profile",
        "Performance profile",
        "How many workloads each submission brings to their target within a multiple τ of the fastest submission's "
        "time.",
        f'<div class="beside">{drawn}{legend(context)}</div>',
        [context.tables["profile"], context.tables["profile_bands"]],
        reading="Higher and further left is better; the score is a curve's mean height. Curves that coincide are drawn "
        f'side by side. <span class="on-screen">{drawing}</span>',
    )


def legend(context: Context) -> str:
    """Names and scores with their lines; a name follows its submission through the page."""
    rows = [
        row(
            [
                cell(place + 1, "number rank"),
                name_cell(place, standing.submission),
                cell(f"{standing.score:.3f}", "number"),
            ],
            place,
        )
        for place, standing in enumerate(context.result.scores.standings)
    ]
    return f'<div class="legend">{table(("place", "submission", "score"), rows, label="Legend")}</div>'


def _content(context: Context) -> dict[str, Any]:
    scores, bands = context.result.scores, context.result.uncertainties[0].bands
    names = scores.protocol.workloads
    ratios = scores.ratios()
    taus = jumps(ratios)
    heights = profile(ratios, taus)
    shown = (heights + beside(heights, len(names))) * len(names)
    lines = []
    for place, standing in enumerate(scores.standings):
        # Where a curve turns, and its end.
        turns = np.flatnonzero(np.append(True, np.diff(shown[place]) != 0) | (taus == MAX_RATIO))
        within = np.round(heights[place, turns] * len(names)).astype(int)
        line: dict[str, Any] = {
            "s": place,
            "name": standing.submission,
            "step": True,
            "x": taus[turns].tolist(),
            "y": np.round(shown[place, turns], 4).tolist(),
            "tips": [f"{number} of {len(names)} workloads" for number in within.tolist()],
        }
        if bands is not None and place < len(bands.low) and not np.isnan(bands.low[place]).any():
            line |= _band(bands, place, len(names))
        lines.append(line)
    return {
        "height": max(470, min(800, 26 * len(lines))),
        "x": {
            "label": "τ: multiple of the fastest time to target",
            "range": [1, MAX_RATIO + _WIDE * (MAX_RATIO - 1)],
            "ticks": [[tau, f"{tau:g}x"] for tau in _TAUS],
        },
        "y": {
            "label": f"workloads at their target, of {len(names)}",
            "range": [-0.25, len(names) + 0.25],
            "ticks": [[number, str(number)] for number in ticks(len(names))],
        },
        "lines": lines,
        "words": _ends(heights[:, -1], len(names)),
    }


def ticks(num_workloads: int) -> range:
    """From 0, at most thirteen."""
    return range(0, num_workloads + 1, 1 + num_workloads // 13)


def _band(bands: Bands, place: int, num_workloads: int) -> dict[str, list[float]]:
    """Only where one of its sides turns."""
    low, high = bands.low[place] * num_workloads, bands.high[place] * num_workloads
    turns = np.flatnonzero(np.append(True, (np.diff(low) != 0) | (np.diff(high) != 0)) | (bands.tau == MAX_RATIO))
    sides = {"band": bands.tau, "low": low, "high": high}
    return {name: np.round(values[turns], 4).tolist() for name, values in sides.items()}


def _ends(heights: np.ndarray, num_workloads: int) -> list[dict[str, Any]]:
    """At each height at which curves end the places of these curves."""
    words = []
    for height in np.unique(heights).tolist():
        places = [str(place + 1) for place in np.flatnonzero(heights == height)]
        words.append({"x": MAX_RATIO, "y": height * num_workloads, "text": " ".join(places)})
    return words
