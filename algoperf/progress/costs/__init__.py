"""What trials have cost, as data: how long published and measured ones took, how big models and prepared data are.

Where each file comes from, and how it is made again, is in README.md.
"""

import csv
import dataclasses
import functools
import math
from collections.abc import Iterator
from pathlib import Path

from algoperf.benchmark.facts import Scale, UsageError
from algoperf.benchmark.protocol import TARGET_SETTING, Protocol, Ruleset, load_protocol
from algoperf.benchmark.registry import base_of, load_spec
from workloads.datasets.prepare import store_path
from workloads.datasets.store import read_manifest

FOLDER = Path(__file__).parent
BASELINE = FOLDER / "v0.5-nadamw.csv"
MINI = FOLDER / "mini.csv"
_PARAMETERS = FOLDER / "parameters.csv"
_STORES = FOLDER / "stores.csv"
_RACING = FOLDER / "racing.csv"
_LEADERBOARDS = Path(__file__).parents[3] / "scoring" / "published"
_NEARLY = 0.97  # of a budget: a trial that is logged until then has used it up; the last evaluation precedes the end


@dataclasses.dataclass(frozen=True)
class Took:
    """What one trial took, in seconds; None where nobody has written it down.

    charged: infinite where it missed its target and used up its budget, as it would any. free: evaluating, logging and
    saving. set_up: from the start of its processes to the first step, of all sessions. steps: how many it took.
    """

    reached: bool
    charged: float
    free: float | None = None
    set_up: float | None = None
    steps: int | None = None


def took(workload: str, ruleset: Ruleset, protocol: Protocol) -> tuple[Took, ...]:
    """The trials to expect the like of; a variant that none was published of is taken for its workload.

    At full scale, of external tuning all submissions of the v0.5 leaderboard, of self-tuning the v0.5 NAdamW baseline,
    and on A100, or where v0.5 has nothing, the leaderboard of v0.6-a100; at the mini scale what was measured on two
    cores. Empty where there is nothing, as of target setting, whose trials have no target to stop at.
    """
    if ruleset == TARGET_SETTING:
        return ()
    if protocol.scale == "mini":
        known = [_mini()]
    else:
        on_v100 = _leaderboard("v0.5", "external") if ruleset == "external" else _self_tuning()
        on_a100 = _leaderboard("v0.6-a100", "self")
        known = [on_a100, on_v100] if (protocol.name, ruleset) == ("v0.6-a100", "self") else [on_v100, on_a100]
    found = (of.get(name) for name in (workload, base_of(workload)) for of in known)
    return tuple(next(filter(None, found), ()))


@functools.cache
def _leaderboard(protocol: str, ruleset: Ruleset) -> dict[str, list[Took]]:
    """Of a published leaderboard."""
    return _by_workload(
        (row["workload"], _until(row["hit_time"], row["end_time"], _budget(protocol, ruleset, row["workload"])))
        for row in _rows(_LEADERBOARDS / f"{protocol}-{ruleset}.csv")
    )


@functools.cache
def _self_tuning() -> dict[str, list[Took]]:
    rows = (row for row in _rows(BASELINE) if row["ruleset"] == "self")
    return _by_workload(
        (row["workload"], _until(row["both_time"], row["charged"], _budget("v0.5", "self", row["workload"])))
        for row in rows
    )


@functools.cache
def _budget(protocol: str, ruleset: Ruleset, workload: str) -> float:
    of = load_protocol(protocol)
    return of.max_runtime(load_spec(workload, of.scale), ruleset)


@functools.cache
def _mini() -> dict[str, list[Took]]:
    return _by_workload(
        (
            row["workload"],
            Took(
                reached=row["status"] == "reached",
                charged=float(row["charged"]),
                free=float(row["free"]),
                set_up=float(row["set_up"]),
                steps=int(row["global_step"]),
            ),
        )
        for row in _rows(MINI)
    )


def _until(hit: str, end: str, budget: float) -> Took:
    """A trial that was logged until `end`. hit: when it met its target, empty where it did not.

    One that missed its target and ended early, because it diverged or failed, would do so under any budget.
    """
    if hit:
        return Took(True, min(float(end), budget))
    return Took(False, math.inf if float(end) >= _NEARLY * budget else float(end))


def _by_workload(entries: Iterator[tuple[str, Took]]) -> dict[str, list[Took]]:
    found: dict[str, list[Took]] = {}
    for workload, entry in entries:
        found.setdefault(workload, []).append(entry)
    return found


def saved_by_racing(protocol: str, ruleset: Ruleset, level: str, order: str) -> float | None:
    """The share of the charged time that a replay of published trials has saved; None where none was replayed."""
    found = (row for row in _rows(_RACING) if (row["protocol"], row["ruleset"]) == (protocol, ruleset))
    return next((float(row["saved"]) for row in found if (row["level"], row["order"]) == (level, order)), None)


def parameters(workload: str, scale: Scale) -> int:
    """How many parameters the model of a workload or variant has; a variant that is not listed, as its workload."""
    known = _parameters()
    return known.get((scale, workload)) or known[scale, base_of(workload)]


@functools.cache
def _parameters() -> dict[tuple[str, str], int]:
    return {(row["scale"], row["workload"]): int(row["parameters"]) for row in _rows(_PARAMETERS)}


def store_bytes(dataset: str, data_dir: Path) -> tuple[int, bool]:
    """The size of a prepared dataset, and whether it is prepared already: else it is the size to expect."""
    store = store_path(data_dir, dataset)
    try:
        return sum(file["bytes"] for part in read_manifest(store).parts for file in part.files.values()), True
    except (OSError, ValueError, KeyError, TypeError, UsageError):  # whoever opens it says what is wrong with it
        return _stores()[dataset], False


@functools.cache
def _stores() -> dict[str, int]:
    return {row["dataset"]: int(row["bytes"]) for row in _rows(_STORES)}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
