"""Two trees of results side by side: what is another in scores, cells and conditions.

Scores of two leaderboards do not compare: each is against its own fastest. So all submissions of both are scored in one
field, too, where those that are in both trees bear the name of their tree.
"""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Iterable, Iterator

from scoring.certainty.uncertainty import Spread
from scoring.logs.checks import by_hardware
from scoring.logs.trials import Logs, in_order
from scoring.result import Result
from scoring.rules.comparison import Pair
from scoring.rules.score import Cell, Standing

A, B = "A", "B"


@dataclasses.dataclass(frozen=True)
class Change:
    """One submission of either tree.

    a, b: where it stands in each tree by itself, None where it is not there; spread_a, spread_b: how sure that is.
    together_a, together_b: its scores in the one field. p_better: how likely that of B is the higher one, NaN where
    there is nothing to draw from. pair: B's times and steps compared with A's; low, high: of the time ratio's interval.
    """

    submission: str
    a: Standing | None = None
    b: Standing | None = None
    spread_a: Spread | None = None
    spread_b: Spread | None = None
    together_a: float = math.nan
    together_b: float = math.nan
    p_better: float = math.nan
    pair: Pair | None = None
    low: float = math.nan
    high: float = math.nan


@dataclasses.dataclass(frozen=True)
class Condition:
    """Something that the trials were made under, as words of each tree; empty where the logs do not say it."""

    what: str
    a: str
    b: str

    @property
    def is_another(self) -> bool:
        return self.a != self.b


@dataclasses.dataclass(frozen=True)
class Sides:
    """a, b: each tree scored by itself, by the same protocol, ruleset and reading. together: all in one field."""

    a: Result
    b: Result
    together: Result

    @functools.cached_property
    def both(self) -> tuple[str, ...]:
        """The submissions that are in both trees, in the order of B's leaderboard."""
        in_a = {standing.submission for standing in self.a.scores.standings}
        return tuple(standing.submission for standing in self.b.scores.standings if standing.submission in in_a)

    @functools.cached_property
    def changes(self) -> tuple[Change, ...]:
        """Those in both trees first, then those of B, then those of A; each in the order of a leaderboard."""
        a, b = _standings(self.a), _standings(self.b)
        names = dict.fromkeys((*self.both, *b, *a))
        return tuple(self._change(name, a.get(name), b.get(name)) for name in names)

    def _change(self, submission: str, a: tuple[Standing, Spread] | None, b: tuple[Standing, Spread] | None) -> Change:
        standings = self.together.scores.standings
        places = {standing.submission: place for place, standing in enumerate(standings)}
        own_a, own_b = (
            places.get(in_field(submission, side, self.both) if there else None) for side, there in ((A, a), (B, b))
        )
        (of_a, spread_a), (of_b, spread_b) = a or (None, None), b or (None, None)
        change = Change(
            submission=submission,
            a=of_a,
            b=of_b,
            spread_a=spread_a,
            spread_b=spread_b,
            together_a=math.nan if own_a is None else standings[own_a].score,
            together_b=math.nan if own_b is None else standings[own_b].score,
        )
        if own_a is None or own_b is None:
            return change
        duels = self.together.uncertainties[0].duels
        low, high = duels.ratios[:, own_b, own_a]
        names = standings[own_b].submission, standings[own_a].submission
        pair = next(pair for pair in self.together.pairs if (pair.submission, pair.to) == names)
        return dataclasses.replace(change, p_better=duels.beats[own_b, own_a], pair=pair, low=low, high=high)

    @functools.cached_property
    def cells(self) -> dict[tuple[str, str], tuple[Cell, Cell]]:
        """By submission in both trees and workload, held-outs last: its cell in A and in B."""
        a, b = _standings(self.a), _standings(self.b)
        return {
            (name, workload): (a[name][0].cells[workload], cell)
            for name in self.both
            for workload, cell in b[name][0].cells.items()
        }

    @functools.cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """What is another first."""
        of_a, of_b = dict(_conditions(self.a, self.both)), dict(_conditions(self.b, self.both))
        found = [Condition(what, of_a.get(what, ""), of_b.get(what, "")) for what in dict.fromkeys((*of_a, *of_b))]
        return tuple(sorted(found, key=lambda condition: not condition.is_another))


def _standings(result: Result) -> dict[str, tuple[Standing, Spread]]:
    spreads = result.uncertainties[0].spreads
    return {
        standing.submission: (standing, spread)
        for standing, spread in zip(result.scores.standings, spreads, strict=True)
    }


def in_field(submission: str, side: str, both: Iterable[str]) -> str:
    """What a submission of a tree is called where all are scored together. both: those that are in both trees."""
    return f"{submission} ({side})" if submission in both else submission


def joined(a: Logs, b: Logs) -> Logs:
    """All trials of both."""
    both = {trial.submission for trial in a.trials} & {trial.submission for trial in b.trials}
    trials = [
        trial.renamed(in_field(trial.submission, side, both))
        for side, logs in ((A, a), (B, b))
        for trial in logs.trials
    ]
    infos = {in_field(name, side, both): info for side, logs in ((A, a), (B, b)) for name, info in logs.infos.items()}
    return Logs(in_order(trials), (), infos)


def _conditions(result: Result, both: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(what, words) of a tree."""
    protocol = result.scores.protocol
    scored = [t for t in result.logs.trials if t.workload in (*protocol.workloads, *protocol.held_out)]
    yield "submissions", str(len(result.scores.standings))
    yield "trials with evaluations", f"{sum(trial.readable for trial in scored):,}"
    yield "trials refused", f"{sum(trial.record.refused is not None for trial in scored):,}"
    yield "trials with flags", f"{sum(bool(trial.record.flags) for trial in scored):,}"
    yield "caveats", result.caveat
    yield "hardware", ", ".join(sorted(by_hardware(scored, protocol)))
    yield "hosts", ", ".join(sorted({trial.record.host for trial in scored} - {None}))
    for workload, budget in result.budgets.items():
        yield f"budget of {workload}", f"{budget:,.0f} s"
    versions: dict[str, set[str]] = {}
    for trial in scored:
        for name, version in trial.record.software.items():
            versions.setdefault(name, set()).add(version)
    yield "commits", ", ".join(sorted({trial.record.commit for trial in scored} - {None}))
    for name, found in sorted(versions.items()):
        yield name, ", ".join(sorted(found))
    for name in sorted(both):
        own = [trial for trial in scored if trial.submission == name]
        yield f"{name}: studies", str(len({trial.study for trial in own if trial.counts}))
        yield f"{name}: content", ", ".join(sorted({content[:12] for t in own if (content := t.record.content)}))
        yield f"{name}: points", _different(trial.point for trial in own)
        yield f"{name}: seeds", _different(trial.record.seed for trial in own)


def _different(values: Iterable[str | None]) -> str:
    """How many different ones there are, with a digest that is another where one of them is."""
    found = sorted({value for value in values if value is not None})
    digest = hashlib.sha256("\n".join(found).encode()).hexdigest()[:8]
    return f"{len(found):,} different ({digest})" if found else ""
