"""Runs in Weights & Biases, online or offline as its own settings (`WANDB_MODE`, `WANDB_PROJECT`, ...) say.

How much of a run is mirrored stands in a file beside what W&B itself keeps on the disk.
"""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import wandb
from wandb.errors import Error

from algoperf.benchmark.facts import InfrastructureError
from algoperf.records.atomic import write_json
from scoring.logs.files import read_object
from scoring.mirror.runs import CHARGED, Position, Row, Run

_PROJECT = "algoperf"


class WeightsAndBiases:
    """See `follow.Target`. A run is closed after each write, so that what is told to be mirrored is on the disk."""

    def __init__(self):
        self._states = Path(os.environ.get("WANDB_DIR", "."), "wandb", "algoperf_mirror")

    def position(self, run: Run) -> Position | None:
        try:
            state = read_object(str(self._state(run)))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InfrastructureError(f"{self._state(run)} cannot be read: {error.strerror}.") from error
        return Position(**state) if state else None

    def write(self, run: Run, rows: Sequence[Row], position: Position) -> None:
        place = run.place
        try:
            self._states.mkdir(parents=True, exist_ok=True)
            with wandb.init(
                id=_id(run),
                resume="allow",
                project=os.environ.get("WANDB_PROJECT", _PROJECT),
                name=place.name,
                group="/".join(filter(None, (place.protocol, place.ruleset, place.submission))),
                job_type=place.workload,
                config={**run.facts, **run.point},
                dir=str(self._states.parents[1]),
                settings=wandb.Settings(console="off", silent=True, disable_git=True, save_code=False),
            ) as opened:
                opened.config.update({**run.facts, **run.point}, allow_val_change=True)
                opened.define_metric("*", step_metric="global_step")
                # The number of a row among all is its step: what is sent twice, after a kill, W&B takes once.
                first = sum(position.rows.values()) - len(rows)
                for number, row in enumerate(rows, first):
                    opened.log({**row.values, "global_step": row.step, CHARGED: row.seconds}, step=number)
                opened.summary["status"] = run.facts["status"]
                opened.finish(exit_code=1 if run.has_failed else 0)
            write_json(self._state(run), dataclasses.asdict(position))
        except (Error, OSError) as error:
            raise InfrastructureError(f"Weights & Biases does not take it: {' '.join(str(error).split())}.") from error

    def close(self) -> None:
        pass

    def _state(self, run: Run) -> Path:
        return self._states / f"{_id(run)}.json"


def _id(run: Run) -> str:
    return hashlib.sha256(f"{run.place.name}-{run.key}".encode()).hexdigest()[:16]
