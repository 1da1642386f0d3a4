"""The curves of trials: what was measured when, and the same in few bytes for a page."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

MAX_POINTS = 60  # evaluations of one trial on a page
_LARGEST = 2**53  # the integers of JavaScript end here; a metric that is as large is off every picture
_FINENESS = 20_000  # parts of the budget, and of the target, that a page's numbers are rounded to


@dataclasses.dataclass(frozen=True, slots=True)
class Curve:
    """One trial's evaluations, as they were read: charged seconds, steps, and the metric of the target.

    All of one length, NaN where a cell holds no number; steps: empty where the csv has no `global_step`.
    """

    times: Sequence[float] = ()
    steps: Sequence[float] = ()
    values: Sequence[float] = ()


def thinned(curve: Curve, keep: int | None, maximum: int = MAX_POINTS) -> Curve:
    """At most about `maximum` evaluations, evenly spread: always the first, the last, and row `keep` (the hit)."""
    count = len(curve.times)
    if count <= maximum:
        return curve
    rows = _evenly(count, maximum)
    chosen = sorted(rows if keep is None else rows | {keep})
    columns = (curve.times, curve.steps, curve.values)
    return Curve(*([column[row] for row in chosen] if column else () for column in columns))


@functools.lru_cache(1_024)
def _evenly(count: int, maximum: int) -> frozenset[int]:
    """Of `count` rows about `maximum`, the first and the last among them."""
    return frozenset(round(place * (count - 1) / (maximum - 1)) for place in range(maximum))


@dataclasses.dataclass(frozen=True)
class Scale:
    """What an integer of an encoded curve stands for: seconds, and the metric's unit."""

    second: float
    value: float

    @classmethod
    def of(cls, budget: float, target: float) -> "Scale":
        return cls(_round(budget / _FINENESS), _round(abs(target) / _FINENESS or 1))


def _round(unit: float) -> float:
    """The power of ten at or below `unit`: integers of it are short, and read back without noise."""
    return 10.0 ** math.floor(math.log10(unit))


def encoded(curve: Curve, scale: Scale) -> Mapping[str, list[int | None]]:
    """`t`, `n` and `v`: differences to the number before, in units of the scale (steps: 1); None: none, or too large.

    A page adds them up again, from zero, passing over what is None.
    """
    return {
        "t": _differences(curve.times, scale.second),
        "n": _differences(curve.steps, 1),
        "v": _differences(curve.values, scale.value),
    }


def _differences(numbers: Sequence[float], unit: float) -> list[int | None]:
    differences: list[int | None] = []
    last = 0
    for number in numbers:
        units = number / unit
        if abs(units) < _LARGEST:  # not so for NaN
            whole = round(units)
            differences.append(whole - last)
            last = whole
        else:
            differences.append(None)
    return differences
