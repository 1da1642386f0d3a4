"""What trials were made under: budget, evaluation period, step hint and target, as their metadata say.

Times are fractions of a budget and hits are of a target, so logs that were made by another version of the benchmark are
not what a score by this one says. The official metadata tell; what they tell is believed.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from algoperf.benchmark.facts import METRICS_BEFORE, Scale
from algoperf.benchmark.protocol import PROTOCOLS, Protocol
from algoperf.benchmark.registry import load_spec

_KEYS = {
    "max_runtime": "workload.max_allowed_runtime_sec",
    "eval_period": "workload.eval_period_time_sec",
    "step_hint": "workload.step_hint",
    "metric": "workload.target_metric_name",
    "validation": "workload.validation_target_value",
    "test": "workload.test_target_value",
}
_WORDS = {
    "max_runtime": "budget",
    "eval_period": "evaluation period",
    "step_hint": "step hint",
    "metric": "metric",
    "validation": "validation target",
    "test": "test target",
}
_PRECISION = 1e-6  # targets were written as float64 and by hand


@dataclasses.dataclass(frozen=True, slots=True)
class Terms:
    """None where nothing is said. max_runtime, eval_period: charged seconds; the former under external tuning."""

    max_runtime: float | None = None
    eval_period: float | None = None
    step_hint: float | None = None
    metric: str | None = None
    validation: float | None = None
    test: float | None = None


@dataclasses.dataclass(frozen=True)
class Difference:
    """One of a workload's terms that some trials state otherwise. stated: what most of those state."""

    workload: str
    what: str
    stated: str
    ours: str
    trials: int
    of: int

    def __str__(self) -> str:
        return f"{self.workload} {self.stated}, not {self.ours}"


def terms_of_metadata(metadata: Mapping[str, Any]) -> Terms | None:
    """None where a trial's metadata state none."""
    stated = {name: _value(name, metadata.get(key)) for name, key in _KEYS.items() if key in metadata}
    return Terms(**stated) if any(value is not None for value in stated.values()) else None


def _value(name: str, value: Any) -> Any:
    if name == "metric":
        return METRICS_BEFORE.get(value, value) if isinstance(value, str) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
    return value if is_number else None


def terms_of(workload: str, protocol: Protocol) -> Terms | None:
    """What a protocol says of a workload; None where it is no part of it."""
    spec = load_spec(workload, protocol.scale)
    budget = spec.budget.get(protocol.name)
    if budget is None:
        return None
    target = spec.target
    period = protocol.eval_period(spec)
    return Terms(budget.max_runtime, period, budget.step_hint, target.metric, target.validation, target.test)


def differences(stated: Mapping[str, Counter[Terms]], protocol: Protocol) -> list[Difference]:
    """Where terms that trials state are not the protocol's. stated: of each workload, how many trials state which."""
    found = []
    for workload, counts in stated.items():
        ours = terms_of(workload, protocol)
        for name, word in _WORDS.items() if ours else ():
            others = Counter()
            for terms, count in counts.items():
                if _differs(value := getattr(terms, name), getattr(ours, name)):
                    others[value] += count
            if others:
                said, own = (_shown(name, value) for value in (others.most_common(1)[0][0], getattr(ours, name)))
                found.append(Difference(workload, word, said, own, others.total(), counts.total()))
    return found


def _differs(stated: Any, ours: Any) -> bool:
    if stated is None:  # nothing is said
        return False
    if isinstance(stated, str) or ours is None:
        return stated != ours
    return not math.isclose(stated, ours, rel_tol=_PRECISION)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    return f"{value:,.10g}{' s' if name in ('max_runtime', 'eval_period') else ''}"


def fitting(stated: Mapping[str, Counter[Terms]], scale: Scale) -> list[Protocol]:
    """The protocols of a scale that say of every workload what all trials state. stated: as in `differences`."""
    return [
        protocol
        for protocol in PROTOCOLS.values()
        if protocol.scale == scale
        and all(terms_of(workload, protocol) is not None for workload in stated)
        and not differences(stated, protocol)
    ]


def caveat(found: Sequence[Difference], protocol: Protocol, fits: Sequence[Protocol]) -> str:
    """One sentence on all differences: of each kind the first, and how many more workloads it is of."""
    kinds: dict[str, list[Difference]] = {}
    for difference in found:
        kinds.setdefault(difference.what, []).append(difference)
    words = [
        f"{what} ({members[0]}{f', and {len(members) - 1} more' if len(members) > 1 else ''})"
        for what, members in kinds.items()
    ]
    way_out = f"protocol {' or '.join(other.name for other in fits)} fits" if fits else "no protocol fits"
    return f"these logs state other terms than {protocol.name}: {', '.join(words)}; {way_out}"
