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
from algoperf.benchmark.protocol import Ruleset
from algoperf.benchmark.registry import base_of
from workloads.datasets.prepare import store_path
from workloads.datasets.store import read_manifest

FOLDER = Path(__file__).parent
BASELINE = FOLDER / "v0.5-nadamw.csv"
MINI = FOLDER / "mini.csv"
_PARAMETERS = FOLDER / "parameters.csv"
_STORES = FOLDER / "stores.csv"
_LEADERBOARD = Path(__file__).parents[3] / "scoring" / "published" / "v0.5-external.csv"


@dataclasses.dataclass(frozen=True)
class Took:
    """What one trial took, in seconds; None where nobody has written it down.

    charged: infinite where it missed its target and would have used up any budget. free: evaluating, logging and
    saving. set_up: from the start of its processes to the first step, of all sessions. steps: how many it took.
    """

    reached: bool
    charged: float
    free: float | None = None
    set_up: float | None = None
    steps: int | None = None


def took(workload: str, ruleset: Ruleset, scale: Scale) -> tuple[Took, ...]:
    """The trials to expect the like of; a variant that none was published of is taken for its workload.

    At full scale, of external tuning all submissions of the v0.5 leaderboard, of self-tuning the v0.5 NAdamW baseline;
    at the mini scale what was measured on two cores. Empty where there is nothing.
    """
    known = _mini() if scale == "mini" else _leaderboard() if ruleset == "external" else _self_tuning()
    return tuple(known.get(workload) or known.get(base_of(workload), ()))


@functools.cache
def _leaderboard() -> dict[str, list[Took]]:
    return _by_workload((row["workload"], _until(row["hit_time"])) for row in _rows(_LEADERBOARD))


@functools.cache
def _self_tuning() -> dict[str, list[Took]]:
    rows = (row for row in _rows(BASELINE) if row["ruleset"] == "self")
    return _by_workload((row["workload"], _until(row["both_time"])) for row in rows)


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


def _until(time: str) -> Took:
    """A trial that ended when it met its target, or, where that is empty, with its budget."""
    return Took(bool(time), float(time or math.inf))


def _by_workload(entries: Iterator[tuple[str, Took]]) -> dict[str, list[Took]]:
    found: dict[str, list[Took]] = {}
    for workload, entry in entries:
        found.setdefault(workload, []).append(entry)
    return found


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
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
