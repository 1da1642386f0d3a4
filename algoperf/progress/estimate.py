"""What an experiment costs, before anything is submitted: at most, and by what trials have taken elsewhere.

A trial holds its nodes for its charged time, for what is free to the submission (evaluating, saving), and for its
set-up. Finished trials of the experiment itself take the place of the published ones, the more of them there are.
"""

import dataclasses
import functools
import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from algoperf.benchmark.facts import Scale, WorkloadSpec
from algoperf.benchmark.identity import Trial
from algoperf.benchmark.protocol import TARGET_SETTING, Ruleset, load_protocol
from algoperf.benchmark.registry import load_spec
from algoperf.progress import costs
from algoperf.progress.costs import Took
from algoperf.rehearsal.measured import Measured

# Seconds from a job's start to its first step, and bytes a second that checkpoints are written with: assumptions, as
# nobody has published either. A checkpoint of 400 MB was measured at 0.5 GB a second.
SET_UP: Mapping[Scale, float] = {"full": 600.0, "mini": 15.0}
SAVED_A_SECOND = 0.5e9

# Float32 numbers that a checkpoint holds for each parameter: itself and two of the optimizer, as Adam has them.
_NUMBERS_A_PARAMETER = 3


@dataclasses.dataclass(frozen=True)
class Cost:
    """Seconds for which one trial holds its nodes."""

    charged: float
    free: float
    set_up: float

    @property
    def held(self) -> float:
        return self.charged + self.free + self.set_up


@dataclasses.dataclass(frozen=True)
class Kind:
    """What trials have in common that cost alike."""

    protocol: str
    ruleset: Ruleset
    workload: str

    @classmethod
    def of(cls, trial: Trial) -> "Kind":
        return cls(trial.protocol, trial.ruleset, trial.workload)


@dataclasses.dataclass(frozen=True)
class Facts:
    """budget: charged seconds that a trial may use; those of its steps where it ends by steps. max_steps: these
    steps, None where only seconds count, and an evaluation comes each eval_period of them. evaluations: of a trial
    that uses up its budget. evaluation: free seconds of one, and of saving after it. set_up:
    seconds, where they were measured. checkpoint: bytes. took: the
    published or measured trials that those of the kind are compared with.
    """

    spec: WorkloadSpec
    budget: float
    max_steps: int | None
    eval_period: float
    evaluations: int
    evaluation: float
    set_up: float | None
    checkpoint: int
    took: tuple[Took, ...]


@functools.cache
def facts(kind: Kind, measured: Measured | None = None) -> Facts:
    """measured: what a rehearsal has measured; without, what was published and assumptions stand for it."""
    protocol = load_protocol(kind.protocol)
    spec = load_spec(kind.workload, protocol.scale)
    checkpoint = 4 * _NUMBERS_A_PARAMETER * costs.parameters(kind.workload, protocol.scale)
    max_steps, every = protocol.max_steps(spec, kind.ruleset), protocol.evaluated_every(spec, kind.ruleset)
    took = costs.took(kind.workload, kind.ruleset, protocol)
    budget = _budget(protocol.max_runtime(spec, kind.ruleset), max_steps, took)
    by_time = 1 + int(budget // protocol.eval_period(spec))
    return Facts(
        spec=spec,
        budget=budget,
        max_steps=max_steps,
        eval_period=protocol.eval_period(spec),
        evaluations=by_time if every is None else _by_steps(kind, max_steps, every),
        evaluation=(measured.evaluation if measured else spec.needs.evaluation_time) + checkpoint / SAVED_A_SECOND,
        set_up=measured.set_up if measured else None,
        checkpoint=checkpoint,
        took=took,
    )


def _by_steps(kind: Kind, max_steps: int, every: int) -> int:
    """Evaluations of a trial that ends by its steps; one comes after the first step but where a target is made."""
    return math.ceil(max_steps / every) + (kind.ruleset != TARGET_SETTING)


def _budget(max_runtime: float, max_steps: int | None, took: Sequence[Took]) -> float:
    """Charged seconds of a trial that never reaches its target; of one that ends by its steps, at the slowest pace that
    was measured."""
    paces = [one.charged / one.steps for one in took if one.steps]
    return max_runtime if max_steps is None or not paces else min(max_runtime, max_steps * max(paces))


@functools.cache
def at_most(kind: Kind, measured: Measured | None = None) -> Cost:
    """What a trial costs that never reaches its target."""
    return _cost(kind, Took(False, math.inf), measured)


@functools.cache
def expected(kind: Kind, measured: Measured | None = None) -> Cost:
    """The mean over trials that have been published or measured; `at_most` where there are none."""
    return forecast(kind, (), measured)


def forecast(kind: Kind, finished: Sequence[Took], measured: Measured | None = None) -> Cost:
    """`expected`, corrected by finished trials of the kind: what was expected counts as one more of them."""
    weighted = [(weight, _cost(kind, took, measured)) for weight, took in _weighted(kind, finished)]
    parts = (field.name for field in dataclasses.fields(Cost))
    return Cost(*(_mean((weight, getattr(cost, part)) for weight, cost in weighted) for part in parts))


def charged_at_the_end(kind: Kind, finished: Sequence[Took], after: float, steps: int) -> float:
    """The charged seconds that a trial is expected to end with that has not ended after `after` of them and `steps`.

    One that ends by its steps goes on, at its own pace, to the step at which others ended.
    """
    max_steps = facts(kind).max_steps
    if max_steps is None:
        return _later([(weight, _charged(kind, took)) for weight, took in _weighted(kind, finished)], after) or max(
            after, facts(kind).budget
        )
    ends = [(weight, min(took.steps or max_steps, max_steps)) for weight, took in _weighted(kind, finished)]
    return after * (_later(ends, steps) or max(steps, max_steps)) / steps


def _later(ends: Iterable[tuple[float, float]], after: float) -> float | None:
    """The weighted mean of the ends that are still to come; None where none is."""
    later = [(weight, end) for weight, end in ends if end > after]
    return _mean(later) if later else None


def share_reached(kind: Kind) -> float | None:
    """The share of the published or measured trials that reached their target in the budget; None without any."""
    hits = [took.reached and took.charged <= _charged(kind, took) for took in facts(kind).took]
    return sum(hits) / len(hits) if hits else None


def _weighted(kind: Kind, finished: Sequence[Took]) -> list[tuple[float, Took]]:
    elsewhere = facts(kind).took or (Took(False, math.inf),)
    return [*((1 / len(elsewhere), took) for took in elsewhere), *((1.0, took) for took in finished)]


def _mean(weighted: Iterable[tuple[float, float]]) -> float:
    pairs = list(weighted)
    return sum(weight * value for weight, value in pairs) / sum(weight for weight, _ in pairs)


def _cost(kind: Kind, took: Took, measured: Measured | None = None) -> Cost:
    """What a trial costs under the budget of the kind; what is not known of it follows from the workload."""
    known, charged = facts(kind, measured), _charged(kind, took)
    free = _evaluations(known, charged) * known.evaluation if took.free is None else took.free
    set_up = SET_UP[known.spec.scale] if known.set_up is None else known.set_up
    return Cost(charged, free, set_up if took.set_up is None else took.set_up)


def _charged(kind: Kind, took: Took) -> float:
    """Charged seconds of a trial under the budget of the kind: of seconds, or of as many of its steps."""
    known = facts(kind)
    if known.max_steps is None or took.steps is None:
        return min(took.charged, known.budget)
    return took.charged * min(1.0, known.max_steps / took.steps)


def _evaluations(known: Facts, charged: float) -> int:
    """Of a trial that ends with so many charged seconds, the budget at most."""
    if known.max_steps is None:
        return 1 + int(charged // known.eval_period)
    return math.ceil(known.evaluations * charged / known.budget)


def _took(kind: Kind, took: Took) -> float:
    """Seconds for which a finished trial held its nodes."""
    known = _cost(kind, took)
    return took.charged + known.free + known.set_up


@dataclasses.dataclass(frozen=True)
class Estimate:
    """The trials of one workload under one ruleset. All times in seconds for which nodes are held, of all its trials.

    reached: share of trials expected to reach the target before their budget is spent; None where nothing is known.
    charged: what of the expected time is charged; the rest is free. done: how many have ended; took: what these really
    took; expected_of_done: what was expected of them. left: the forecast of the others. measured: what these rest on,
    where a rehearsal has measured it.
    """

    kind: Kind
    trials: int
    reached: float | None
    at_most: float
    expected: float
    charged: float
    done: int
    took: float
    expected_of_done: float
    left: float
    measured: Measured | None


def estimates(
    trials: Iterable[Trial], finished: Mapping[Kind, Sequence[Took]], rehearsed: Mapping[str, Measured]
) -> list[Estimate]:
    """One for each workload and ruleset, in the order of the trials.

    finished: those of the trials that are done. rehearsed: what was measured, by workload.
    """
    numbers = Counter(map(Kind.of, trials))
    return [
        _estimate(kind, number, finished.get(kind, ()), rehearsed.get(kind.workload))
        for kind, number in numbers.items()
    ]


def _estimate(kind: Kind, trials: int, done: Sequence[Took], measured: Measured | None) -> Estimate:
    return Estimate(
        kind=kind,
        trials=trials,
        reached=share_reached(kind),
        at_most=trials * at_most(kind, measured).held,
        expected=trials * expected(kind, measured).held,
        charged=trials * expected(kind, measured).charged,
        done=len(done),
        took=sum(_took(kind, took) for took in done),
        expected_of_done=len(done) * expected(kind, measured).held,
        left=(trials - len(done)) * forecast(kind, done, measured).held,
        measured=measured,
    )


def wall_clock(trials: Iterable[Trial], at_once: int, cost: Callable[[Kind], Cost]) -> float:
    """Seconds until all trials have ended, `at_once` at any time, the longest first. cost: of one trial of a kind."""
    busy = [0.0] * at_once
    for duration in sorted((cost(Kind.of(trial)).held for trial in trials), reverse=True):
        heapq.heapreplace(busy, busy[0] + duration)
    return max(busy)
