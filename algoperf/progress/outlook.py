"""What `algoperf plan` finds out: time, wall clock and disk of an experiment, and what its finished trials took."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.identity import Trial
from algoperf.benchmark.protocol import Ruleset
from algoperf.experiment import fitting, plan, target_records
from algoperf.experiment.config import Config
from algoperf.machine.cluster import LOCAL, Accelerator
from algoperf.progress import costs, disk_space, estimate, forecast, status, status_view
from algoperf.progress.costs import Took
from algoperf.progress.disk_space import Disk, Store
from algoperf.progress.estimate import Cost, Estimate, Kind
from algoperf.progress.status import TrialStatus
from algoperf.rehearsal import measured
from algoperf.rehearsal.measured import Measured

_SECONDS_PER_HOUR = 3_600


@dataclasses.dataclass(frozen=True)
class WallClock:
    """Seconds on the given nodes. left: for the trials that are not done, by what the finished ones took."""

    at_most: float
    expected: float
    left: float


@dataclasses.dataclass(frozen=True)
class Outlook:
    """nodes: how many there are. accelerators: of those that one trial holds; None where cluster.yaml does not say.
    again: which trials are run again, and why. unfit: which do not fit into the accelerator. checkpoints: bytes, at
    most, of all trials that run at once. estimates and disks: of the same kinds. saved_by_racing: the share of the
    charged time, as published trials tell.
    """

    config: Config
    nodes: int
    nodes_of_a_trial: int
    accelerators: int | None
    estimates: list[Estimate]
    disks: list[Disk]
    stores: list[Store]
    checkpoints: int
    wall_clock: WallClock
    again: list[str]
    saved_by_racing: Mapping[Ruleset, float]
    unfit: list[str]

    def hours(self, seconds: float) -> float:
        """Accelerator-hours of trials that hold their nodes for so long; hours of trials where none are named."""
        return seconds * (self.accelerators or 1) / _SECONDS_PER_HOUR


def look(config: Config, accelerator: Accelerator, nodes: int) -> Outlook:
    """Of the trials of a config, or, where that is of targets, of setting them.

    Raises UsageError where the nodes are too few for one trial, and as `plan.trials` does.
    """
    at_once = nodes // accelerator.nodes
    if not at_once:
        raise UsageError(
            f"a trial on {config.accelerator} takes {accelerator.nodes} nodes, more than {nodes}; give --nodes "
            f"{accelerator.nodes} or more."
        )
    trials = _trials(config)
    asked_for = None if config.accelerator == LOCAL else accelerator
    found = status.statuses(trials, config.results_dir, plan.definitions(config, trials, asked_for))
    finished = forecast.finished_trials(found)
    rehearsed = measured.by_workload(measured.records(config.results_dir, config.protocol))
    disks = disk_space.of_trials(trials)
    return Outlook(
        config=config,
        nodes=nodes,
        nodes_of_a_trial=accelerator.nodes,
        accelerators=None if accelerator.count is None else accelerator.count * accelerator.nodes,
        estimates=estimate.estimates(trials, finished, rehearsed),
        disks=disks,
        stores=disk_space.stores(disks, config.data_dir),
        checkpoints=disk_space.checkpoints(disks, at_once, trials),
        wall_clock=_wall_clock(found, at_once, finished, rehearsed),
        again=list(status_view.again(found)),
        saved_by_racing=dict(_saved_by_racing(config)),
        unfit=fitting.look(config).unfit,
    )


def _saved_by_racing(config: Config) -> Iterator[tuple[Ruleset, float]]:
    """Shares of the charged time; none of a ruleset that nobody has replayed, or where nothing is raced."""
    for ruleset in config.rulesets:
        saved = costs.saved_by_racing(config.protocol, ruleset, config.racing, config.racing_order)
        if saved is not None:
            yield ruleset, saved


def _trials(config: Config) -> list[Trial]:
    if config.is_of_targets:
        return target_records.planned_trials(config, config.results_dir)
    return plan.trials(config)


def _wall_clock(
    found: Sequence[TrialStatus],
    at_once: int,
    finished: Mapping[Kind, Sequence[Took]],
    rehearsed: Mapping[str, Measured],
) -> WallClock:
    def expected(kind: Kind) -> Cost:
        return estimate.expected(kind, rehearsed.get(kind.workload))

    forecasts = {kind: estimate.forecast(kind, took, rehearsed.get(kind.workload)) for kind, took in finished.items()}
    trials = [entry.trial for entry in found]
    open_trials = [entry.trial for entry in found if entry.progress != "done"]
    return WallClock(
        at_most=estimate.wall_clock(trials, at_once, lambda kind: estimate.at_most(kind, rehearsed.get(kind.workload))),
        expected=estimate.wall_clock(trials, at_once, expected),
        left=estimate.wall_clock(open_trials, at_once, lambda kind: forecasts.get(kind) or expected(kind)),
    )


def as_dict(outlook: Outlook) -> dict[str, Any]:
    """For JSON: seconds, accelerator-hours and bytes, as their names say."""
    rows = [
        {
            **dataclasses.asdict(row.kind),
            "trials": row.trials,
            "expected_to_reach": row.reached,
            "done": row.done,
            "seconds_at_most": _seconds(estimate.at_most(row.kind, row.measured)),
            "seconds_expected": _seconds(estimate.expected(row.kind, row.measured)),
            "accelerator_hours": {name: outlook.hours(getattr(row, name)) for name in _TIMES},
            "rehearsed": None if row.measured is None else dataclasses.asdict(row.measured),
            "dataset": of_disk.dataset,
            "bytes": {"checkpoints_of_a_trial": of_disk.checkpoints, "results": of_disk.results},
        }
        for row, of_disk in zip(outlook.estimates, outlook.disks, strict=True)
    ]
    return {
        "protocol": outlook.config.protocol,
        "accelerator": outlook.config.accelerator,
        "accelerators_of_a_trial": outlook.accelerators,
        "nodes_of_a_trial": outlook.nodes_of_a_trial,
        "nodes": outlook.nodes,
        "trials": sum(row.trials for row in outlook.estimates),
        "done": sum(row.done for row in outlook.estimates),
        "accelerator_hours": {
            name: outlook.hours(math.fsum(getattr(row, name) for row in outlook.estimates)) for name in _TIMES
        },
        "wall_clock_seconds": dataclasses.asdict(outlook.wall_clock),
        "bytes": {
            "data": sum(store.size for store in outlook.stores),
            "checkpoints": outlook.checkpoints,
            "results": sum(of_disk.results for of_disk in outlook.disks),
        },
        "again": outlook.again,
        "saved_by_racing": dict(outlook.saved_by_racing),
        "unfit": outlook.unfit,
        "stores": [dataclasses.asdict(store) for store in outlook.stores],
        "workloads": rows,
    }


_TIMES = ("at_most", "expected", "charged", "took", "expected_of_done", "left")


def _seconds(cost: Cost) -> dict[str, float]:
    """Of one trial."""
    return {**dataclasses.asdict(cost), "held": cost.held}
