"""What rehearsals have measured of the trials that are to come."""

import dataclasses
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf.benchmark.protocol import load_protocol
from algoperf.benchmark.registry import load_spec
from algoperf.rehearsal import stages
from algoperf.trial.definition import EVALUATED


@dataclasses.dataclass(frozen=True)
class Measured:
    """Seconds, of one trial of a workload, the mean over contestants. set_up: from the start of its processes to the
    end of its first step. evaluation: of all examples of its splits. step: of one."""

    set_up: float
    evaluation: float
    step: float


def folder(results_dir: Path, protocol: str) -> Path:
    return results_dir / protocol / "rehearsal"


def records(results_dir: Path, protocol: str) -> list[dict[str, Any]]:
    """Of all cells that were rehearsed; what cannot be read is passed over."""
    found = []
    for path in sorted(folder(results_dir, protocol).glob(f"*/*/{stages.RECORD}")):
        try:
            found.append(stages.read(path))
        except (OSError, ValueError):
            continue
    return found


def by_workload(found: list[dict[str, Any]]) -> dict[str, Measured]:
    """Of the cells that ended as they should, with the batch sizes that trials have."""
    of: dict[str, list[Measured]] = {}
    for record in found:
        if record["failed"] is None and record["is_of_official_batch"]:
            of.setdefault(record["workload"], []).append(_measured(record))
    return {
        name: Measured(*(statistics.fmean(getattr(one, field.name) for one in all_of) for field in _FIELDS))
        for name, all_of in of.items()
    }


_FIELDS = dataclasses.fields(Measured)


def _measured(record: Mapping[str, Any]) -> Measured:
    spec = load_spec(record["workload"], load_protocol(record["protocol"]).scale)
    splits = [spec.num_examples(split) for split in ("eval_train", "validation", "test")]
    evaluated = sum(min(count, EVALUATED * record["eval_batch_size"]) for count in splits)
    seconds = record["seconds"]
    return Measured(
        set_up=seconds["first step"],
        evaluation=seconds["evaluation"] * sum(splits) / evaluated,
        step=record["seconds_a_step"],
    )
