"""The charged time from which on a trial can change nothing: proved from the rules of the score, read as documented.

Of each planned trial it is known that its time to target lies in [lower, upper]. A trial that reached: both are its
time. One that ended without: both are infinite. One that racing ended after c charged seconds: [c, inf], as what comes
after an evaluation is no earlier. One without a result: [0, inf]. More knowledge only raises `lower` and lowers
`upper`, and with that a bound only falls: whoever reads old results stops a trial late, never wrongly.

What all proofs show: where every trial that racing has ended had charged at least its bound, the rules give, of the
times as they are (infinite for what was ended), what they would give of any times in the intervals. So the proofs go by
what is known at the end, not by the order in which it became known; and whether they hold can be checked at the end.

In the proofs: v(i) is the value of study i, the smallest time of its trials; u(i) and l(i) are the smallest `upper` and
`lower` of its trials, so that l(i) <= v(i) <= u(i), and u(i) is what is scored. T, high and low are the medians of v, u
and l over the n studies; m = n // 2 + 1 counts up to the upper one of the middle two. All planned trials have results
in the end, so each study has a value, and the median is over all n.

Ties, rounding: "at least" suffices everywhere, for a trial with a time equal to its bound may count or not without a
difference. Medians and ratios are computed here as the scores compute them; both are monotone in floating point.
"""

import dataclasses
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias

from algoperf.benchmark.protocol import MAX_RATIO, Protocol
from algoperf.benchmark.registry import base_of

Level: TypeAlias = Literal["none", "trials", "studies", "scores"]
LEVELS: tuple[Level, ...] = ("none", "trials", "studies", "scores")


class Place(NamedTuple):
    """A trial of one ruleset. submission: its label."""

    submission: str
    workload: str
    study: str
    trial: str


class Known(NamedTuple):
    """Between which charged seconds a trial's time to target lies; infinite: none."""

    lower: float
    upper: float


@dataclasses.dataclass(frozen=True)
class Bound:
    """seconds: charged, from which on a trial can change nothing; 0 where it need not begin, infinite without a bound.

    why: a sentence's end. set_by: the trials whose results make it so.
    """

    seconds: float
    why: str = ""
    set_by: tuple[Place, ...] = ()


NEVER = math.inf
NONE = Bound(NEVER)
_UNKNOWN = Known(0.0, math.inf)


def known(time: float | None, charged: float, is_ended: bool) -> Known:
    """Of a trial with a result. time: to its target, None where it has not reached it. is_ended: by racing."""
    if time is not None:
        return Known(time, time)
    return Known(charged if is_ended else math.inf, math.inf)


@dataclasses.dataclass(frozen=True)
class _Cell:
    """One submission on one workload. uppers: u of its studies. low, high: see above. middle: the m-th smallest u.

    set_by: the best trial of each of the studies whose u is at most `middle`.
    """

    uppers: Mapping[str, float]
    low: float
    high: float
    middle: float
    set_by: tuple[Place, ...]


class Facts:
    """What is known of the trials that one ruleset has planned, or has; it only grows."""

    def __init__(self, planned: Iterable[Place], protocol: Protocol):
        self._trials: dict[tuple[str, str], dict[str, list[Place]]] = defaultdict(lambda: defaultdict(list))
        for place in planned:
            self._trials[place.submission, place.workload][place.study].append(place)
        self.submissions = tuple(dict.fromkeys(submission for submission, _ in self._trials))
        self.held_outs = {name: [of for of in protocol.held_out if base_of(of) == name] for name in protocol.workloads}
        self.bases = {of: name for name, held_outs in self.held_outs.items() for of in held_outs}
        self._known: dict[Place, Known] = {}
        self._cells: dict[tuple[str, str], _Cell | None] = {}

    def learn(self, place: Place, of_it: Known) -> None:
        self._known[place] = of_it
        self._cells.pop((place.submission, place.workload), None)

    def of(self, place: Place) -> Known:
        return self._known.get(place, _UNKNOWN)

    def of_study(self, place: Place) -> list[Place]:
        """The trials of its study, itself among them."""
        return self._trials[place.submission, place.workload][place.study]

    def cell(self, submission: str, workload: str) -> _Cell | None:
        """None where nothing is planned."""
        key = submission, workload
        if key not in self._cells:
            self._cells[key] = self._cell(self._trials[key]) if key in self._trials else None
        return self._cells[key]

    def _cell(self, studies: Mapping[str, list[Place]]) -> _Cell:
        best = {study: min(trials, key=lambda place: self.of(place).upper) for study, trials in studies.items()}
        uppers = {study: self.of(place).upper for study, place in best.items()}
        lowers = [min(self.of(place).lower for place in trials) for trials in studies.values()]
        middle = sorted(uppers.values())[len(uppers) // 2]
        return _Cell(
            uppers=uppers,
            low=statistics.median(lowers),
            high=statistics.median(uppers.values()),
            middle=middle,
            set_by=tuple(best[study] for study, upper in uppers.items() if upper <= middle and math.isfinite(upper)),
        )

    def fastest(self, workload: str) -> Bound:
        """F, see `of_score`, with the trials that make it."""
        found = NONE
        for submission in self.submissions:
            cell = self.cell(submission, workload)
            is_there = cell is not None and self._is_base_reached(submission, workload)
            if is_there and cell.high < found.seconds:
                found = Bound(cell.high, set_by=cell.set_by)
        return found

    def _is_base_reached(self, submission: str, workload: str) -> bool:
        """Of a held-out workload whether its base has a finite median for certain; true of any other."""
        if workload not in self.bases:
            return True
        base = self.cell(submission, self.bases[workload])
        return base is not None and math.isfinite(base.high)


def bound(facts: Facts, place: Place, level: Level) -> Bound:
    """The lowest of the bounds that a level allows."""
    if level == "none":
        return NONE
    found = [of_study(facts, place)]
    if level in ("studies", "scores"):
        found += [of_median(facts, place), of_settled_median(facts, place)]
    if level == "scores" and place.workload in (*facts.held_outs, *facts.bases):  # another is in no score
        found.append(of_score(facts, place))
    return min(found, key=lambda one: one.seconds)


def of_study(facts: Facts, place: Place) -> Bound:
    """(a) The best time of the trial's own study, u(i): every v stays.

    Proof. Let the study's trials that racing has ended have charged at least u(i). Their times are then at least u(i),
    and v(i), the smallest time of all, is u(i): what is scored.
    """
    best = min(facts.of_study(place), key=lambda other: facts.of(other).upper)
    return _set(facts.of(best).upper, "its study has a trial that was as fast", (best,))


def of_median(facts: Facts, place: Place) -> Bound:
    """(b) The m-th smallest u of the cell, `middle`: the median stays.

    Proof. Let each trial that racing has ended have charged at least min(u(i), middle). Where v(i) < u(i), one of them
    has the time v(i), which is not at least u(i), so it is at least `middle`. Hence the studies with v < middle are
    those with u < middle, and have the same values in both. At least m studies have u <= middle, and so v <= middle.
    The k-th smallest value, k <= m, is therefore the same in both: one of those below `middle`, or else `middle`. The
    median is made of the smallest m values alone. An infinite `middle` bounds nothing.
    """
    cell = facts.cell(place.submission, place.workload)
    return _set(cell.middle, "the median of its studies is at most that", cell.set_by)


def of_settled_median(facts: Facts, place: Place) -> Bound:
    """(b') Zero where low = high: the median is known, be it that it is infinite.

    Proof. l <= v <= u for each study, and a median is monotone in each of its values: low <= T <= high. What is scored
    is `high`, which is then T, whatever the rest of the trials do.
    """
    cell = facts.cell(place.submission, place.workload)
    if cell.low != cell.high:
        return NONE
    words = "that is settled" if math.isfinite(cell.high) else "too many of its studies have missed the target"
    return Bound(0.0, f"the median of its studies cannot change: {words}", cell.set_by)


def of_score(facts: Facts, place: Place) -> Bound:
    """(c) Every score stays: by the 4x rule, and by what is lost for certain.

    F(x), of workload x, is the smallest `high` of the submissions, of a held-out workload only of those whose base has
    a finite `high`: what steps 4 and 5 of the rules take for the fastest of what is scored. Let S be a cell (s, x), and

    - lost(s, b) by x: low(s, x) > 4 F(x), or low(s, x) infinite, for x the base b or one of its held-outs h: then step
      5 or 6 takes b from s, whatever else happens (given that F is the true one, which is shown);
    - safe(s, b): high(s, b) is finite, or low(s, h) >= F(h) for each of its held-outs h: whether step 4 voids the times
      of s on h makes no difference to F(h).

    B(S) is
    - of a base b: infinite where s is not safe; else F(b) where b is lost by a held-out; else above 4 F(b);
    - of a held-out h of b: 0 where low(s, b) is infinite; F(h) where b is lost by another than h; else above 4 F(h);
    and "above 4 F" is the smallest time whose quotient by F is above 4. The bound is B(S) for an odd n, 2 B(S) for an
    even one, and 0 where low(S) >= B(S).

    Proof. (1) Where T is not what is scored, `high`, then B(S) <= T <= high. For let it be another. Some v(i) < u(i),
    so a trial that racing has ended has the time v(i), and by the proofs of (a) and (b) not its bound by them alone.
    Where its bound was 0, low(S) >= B(S), and T >= low. Else, as in (b), the values below the bound are the same in
    both; the medians differ, so the upper one of the middle two is at least the bound: B(S), and it is T for an odd n,
    or 2 B(S), and T is at least its half.

    (2) F is what it would be of the true T. Of a base: were s faster than F(b), it would not be as scored, and by (1)
    have T >= B >= F(b). Of a held-out h: the true minimum is at most F(h), as T <= high, and who has a finite high has
    a finite T. Were s faster than F(h), with a finite T(s, b): where high(s, b) is finite, T(s, h) is not as scored
    either, and by (1) at least B, which is no 0, as T(s, b) is finite, and so at least F(h). Where high(s, b) is
    infinite, (s, b) is not as scored, so B(s, b) is finite, s is safe, and T(s, h) >= low(s, h) >= F(h).

    (3) What s has left of b after step 6 is the same. Where neither b nor any h differs from what is scored, clearly.
    Where b does: T >= B; it is lost by a held-out, in both, or is above 4 F(b), and lost in both. Where an h does: b is
    lost by another in both, or T(s, h) >= B is above 4 F(h), and lost in both.

    (4) The last minimum and the ratios are made of what is left after step 6, and are the same.

    A workload that is not planned has no median in the end: it is lost, and as no time it sets no F.
    """
    submission, workload = place.submission, place.workload
    cell = facts.cell(submission, workload)
    base = facts.bases.get(workload, workload)
    fastest = facts.fastest(workload)
    others = [name for name in (base, *facts.held_outs[base]) if name != workload]
    if workload == base and not _is_safe(facts, submission, base):
        return NONE
    lost_by = next((name for name in others if _is_lost(facts, submission, name)), None)
    if workload != base and (of_base := facts.cell(submission, base)) is not None and math.isinf(of_base.low):
        seconds, why = 0.0, f"its submission misses {base}"
    elif lost_by is not None:
        seconds, why = fastest.seconds, f"its submission loses {base} by {lost_by}, and is not the fastest"
    else:
        seconds, why = _above(fastest.seconds), f"it is above {MAX_RATIO:g}x the fastest"
    if cell.low >= seconds:
        return Bound(0.0, f"its workload is lost: {why}", fastest.set_by)
    return _set(seconds if len(cell.uppers) % 2 else 2 * seconds, why, fastest.set_by)


def _is_safe(facts: Facts, submission: str, base: str) -> bool:
    if math.isfinite(facts.cell(submission, base).high):
        return True
    return all(
        (cell := facts.cell(submission, name)) is None or cell.low >= facts.fastest(name).seconds
        for name in facts.held_outs[base]
    )


def _is_lost(facts: Facts, submission: str, workload: str) -> bool:
    cell = facts.cell(submission, workload)
    return cell is None or math.isinf(cell.low) or cell.low >= _above(facts.fastest(workload).seconds)


def _above(fastest: float) -> float:
    """The smallest time that is lost by the 4x rule, which divides: above 4 of rounded quotients."""
    seconds = MAX_RATIO * fastest
    while math.isfinite(seconds) and not seconds / fastest > MAX_RATIO:
        seconds = math.nextafter(seconds, math.inf)
    return seconds


def _set(seconds: float, why: str, set_by: tuple[Place, ...]) -> Bound:
    return Bound(seconds, why, set_by) if math.isfinite(seconds) else NONE


def unproved(facts: Facts, ended: Iterable[tuple[Place, Level, float]]) -> Iterator[Place]:
    """Of trials that racing has ended, at a level after so many charged seconds, those that it has not to have ended.

    By what is known now: a trial that set a bound may have been run again.
    """
    return (place for place, level, charged in ended if charged < bound(facts, place, level).seconds)
