"""How far the studies lie apart, and which trial won each: one small picture for each workload."""

import math
from collections.abc import Sequence

from scoring.page.markup import Context, attribute, duration, style_of, text
from scoring.page.markup import section as as_section
from scoring.rules.score import median
from scoring.rules.studies import Study
from scoring.tables.tables import max_steps_of

_LEFT, _WIDTH, _RIGHT, _ROW, _TOP = 132, 200, 84, 17, 22
_LONGEST = 19


def section(context: Context) -> str:
    protocol = context.result.scores.protocol
    names = (*protocol.workloads, *protocol.held_out)
    panels = "\n".join(_panel(context, name) for name in names)
    return as_section(
        "studies",
        "Studies, and the trials that won them",
        "A dot is the time of one study, a bar their median, the right edge the budget, or, where steps end a trial, "
        "the longest time. Numbers at the right: the trial that set each study's time, in the order of the studies; - "
        "where none reached the target, · where none counts.",
        f'<div class="panels">{panels}</div>',
        [context.tables["studies"]],
    )


def _panel(context: Context, name: str) -> str:
    budget = _edge(context, name)
    rows = "".join(
        _row(place, submission, context.studies.get((submission, name), ()), budget)
        for place, submission in enumerate(context.submissions)
    )
    height = _TOP + _ROW * len(context.submissions) + 4
    width = _LEFT + _WIDTH + _RIGHT
    grid = "".join(
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 4}" y2="{height}"/>'
        for x in (_LEFT + _WIDTH * part / 4 for part in range(5))
    )
    return (
        f'<figure><figcaption>{text(name)}</figcaption><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Times of the studies of {attribute(name)}">{grid}'
        f'<text class="tick" x="{_LEFT}" y="10" text-anchor="middle">0</text>'
        f'<text class="tick" x="{_LEFT + _WIDTH}" y="10" text-anchor="middle">{duration(budget)}</text>'
        f"{rows}</svg></figure>"
    )


def _edge(context: Context, name: str) -> float:
    """Seconds: the budget; where that only guards against trials that hang, the longest time of a study."""
    times = (study.time for submission in context.submissions for study in context.studies.get((submission, name), ()))
    if max_steps_of(context.result, name) is None:
        return context.result.budgets[name]
    return max(filter(math.isfinite, times), default=context.result.budgets[name])


def _row(place: int, submission: str, studies: Sequence[Study], budget: float) -> str:
    y = _TOP + _ROW * (place + 0.5)

    def x(time: float) -> float:
        return _LEFT + _WIDTH * min(time / budget, 1.03)

    reached = [study for study in studies if math.isfinite(study.time)]
    dots = "".join(
        f'<circle cx="{x(study.time):.1f}" cy="{y:.1f}" r="3.6"><title>{attribute(submission)}, '
        f"{attribute(study.study)}: {duration(study.time)}, by {attribute(study.best.trial)}</title></circle>"
        for study in reached
    )
    middle = float(median([study.time for study in studies if study.counted]))
    bar = (
        f'<line class="median" x1="{x(middle):.1f}" x2="{x(middle):.1f}" y1="{y - 6:.1f}" y2="{y + 6:.1f}"/>'
        if math.isfinite(middle)
        else ""
    )
    short = submission if len(submission) <= _LONGEST else f"{submission[: _LONGEST - 9]}…{submission[-8:]}"
    return (
        f'<g class="strip {style_of(place)}" data-s="{place}"><text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">'
        f"<title>{attribute(submission)}</title>{attribute(short)}</text>{bar}{dots}"
        f'<text class="winners" x="{_LEFT + _WIDTH + 10}" y="{y + 4:.1f}">{attribute(_winners(studies))}</text></g>'
    )


def _winners(studies: Sequence[Study]) -> str:
    """The number of the trial that won each study."""
    return " ".join(
        study.best.trial.removeprefix("trial_") if study.best else "-" if study.counted else "·" for study in studies
    )
