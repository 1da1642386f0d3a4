"""What an experiment costs at most, before anything is submitted."""

import dataclasses
from collections.abc import Iterable

from algoperf.plan import Trial
from algoperf.protocol import load_protocol
from algoperf.registry import load_spec

_SECONDS_PER_HOUR = 3_600


@dataclasses.dataclass(frozen=True)
class Estimate:
    """accelerator_hours: the charged time of all trials if none reaches its target; a node is one accelerator here."""

    workload: str
    trials: int
    accelerator_hours: float


def estimates(trials: Iterable[Trial]) -> list[Estimate]:
    """One for each workload, in the order of the trials. Evaluations and set-up come on top; they are not charged."""
    seconds: dict[str, list[float]] = {}
    for trial in trials:
        protocol = load_protocol(trial.protocol)
        spec = load_spec(trial.workload, protocol.scale)
        seconds.setdefault(trial.workload, []).append(protocol.max_runtime(spec, trial.ruleset))
    return [Estimate(name, len(times), sum(times) / _SECONDS_PER_HOUR) for name, times in seconds.items()]


def wall_clock_hours(trials: Iterable[Trial], nodes: int) -> float:
    """Hours until all trials have used their whole budget on `nodes` nodes, the longest trials first."""
    protocols = {name: load_protocol(name) for name in {trial.protocol for trial in trials}}
    busy = [0.0] * nodes
    runtimes = (
        protocols[trial.protocol].max_runtime(load_spec(trial.workload, protocols[trial.protocol].scale), trial.ruleset)
        for trial in trials
    )
    for runtime in sorted(runtimes, reverse=True):
        first = busy.index(min(busy))
        busy[first] += runtime
    return max(busy) / _SECONDS_PER_HOUR
