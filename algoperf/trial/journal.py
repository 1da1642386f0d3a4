"""What a trial leaves on disk: rows as it goes, checkpoints to go on from, and its result as the last act.

Only the first of a trial's processes has one, and only while it holds the lock of the trial's folder.
"""

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine.lock import FolderLock
from algoperf.records import checkpoint, official_files
from algoperf.records.atomic import write_json
from algoperf.trial.train import State

CHECKPOINTS = "checkpoints"

# Beside the checkpoints, what the trial had compiled when it wrote them.
COMPILED = f"{CHECKPOINTS}/compiled"

# The result once more, out of Snakemake's reach: it deletes the outputs of jobs whose end it did not see.
FINISHED = f"{CHECKPOINTS}/finished.json"


class Journal:
    """The files of one trial, none before its first write. saved: the checkpoint from which it goes on, if any."""

    def __init__(self, out: Path, lock: FolderLock, saved: Mapping[str, Any] | None):
        self._out, self._lock = out, lock
        evaluations = [] if saved is None else saved["evaluations"]
        self._rows_written = len(evaluations)
        self._evaluations = official_files.Table(out / official_files.EVALUATIONS, evaluations)
        measurements = out / "measurements.csv"
        self._measurements = official_files.Table(
            measurements, _rows_until(measurements, 0 if saved is None else saved["global_step"])
        )
        self.metrics_logger = official_files.MetricsLogger(self._measurements)

    def write_metadata(self, session: int, hyperparameters: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """session: how often the trial was interrupted before."""
        self._begin()
        write_json(self._out / "hparams.json", hyperparameters)
        write_json(self._out / f"meta_data_{session}.json", metadata)

    def write(self, state: State, content: Mapping[str, Any] | None) -> None:
        """The rows first, the checkpoint after them: a row without its checkpoint is dropped when the trial goes on.

        content: of the checkpoint, None where the state cannot be saved.
        """
        self._lock.verify()
        self._evaluations.append(state.evaluations[self._rows_written :])
        self._rows_written = len(state.evaluations)
        self.metrics_logger.flush()
        if content is not None:
            checkpoint.save(self._out / CHECKPOINTS, state.global_step, content)

    def write_result(self, result: Mapping[str, Any]) -> None:
        self._begin()
        self.metrics_logger.flush()
        write_result(self._out, result)

    def _begin(self) -> None:
        self._lock.verify()
        self._evaluations.begin()
        self._measurements.begin()


def write_result(out: Path, result: Mapping[str, Any]) -> None:
    (out / CHECKPOINTS).mkdir(exist_ok=True)
    write_json(out / FINISHED, result)
    write_json(out / official_files.RESULT, result)
    checkpoint.remove(out / CHECKPOINTS)
    shutil.rmtree(out / COMPILED, ignore_errors=True)


def read_result(out: Path) -> dict[str, Any] | None:
    """The result of a trial that has ended, None for one that has not. A `result.json` that was deleted comes back.

    Raises InfrastructureError for a result that is damaged or cannot be read.
    """
    if (result := _read(out / official_files.RESULT)) is not None:
        return result
    result = _read(out / FINISHED)
    if result is not None:
        write_json(out / official_files.RESULT, result)
    return result


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InfrastructureError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError:
        raise InfrastructureError(f"{path} is damaged; remove it, and it comes back or is made anew.") from None


def log_error(out: Path, text: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with (out / official_files.ERRORS).open("a") as file:
        file.write(text.rstrip("\n") + "\n")


def _rows_until(path: Path, global_step: int) -> list[dict[str, str]]:
    """The training metrics that a trial logged before the step from which it goes on."""
    if global_step == 0 or not path.exists():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if int(row["global_step"]) < global_step]
