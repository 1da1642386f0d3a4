"""What a trial leaves on disk: rows as it goes, checkpoints to go on from, and its result as the last act.

Only the first of a trial's processes has one, and only while it holds the lock of the trial's folder.
"""

import contextlib
import json
import shutil
from collections.abc import Callable, Mapping
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
    """The files of one trial, none before its first write.

    saved: the checkpoint from which it goes on, if any. snapshot: `Backend.snapshot`.
    """

    def __init__(self, out: Path, lock: FolderLock, saved: Mapping[str, Any] | None, snapshot: Callable[[Any], Any]):
        self._out, self._lock = out, lock
        evaluations = [] if saved is None else saved["evaluations"]
        self._rows_written = len(evaluations)
        self._evaluations = official_files.Table(out / official_files.EVALUATIONS, evaluations)
        measurements = out / "measurements.csv"
        self._measurements = official_files.Table(
            measurements, _rows_until(measurements, 0 if saved is None else saved["global_step"])
        )
        self.metrics_logger = official_files.MetricsLogger(self._measurements, snapshot)

    def write_metadata(self, session: int, hyperparameters: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """session: how often the trial was interrupted before."""
        self._begin()
        write_json(self._out / "hparams.json", hyperparameters)
        write_json(self._out / f"meta_data_{session}.json", metadata)

    def write(self, state: State, content: Mapping[str, Any] | None) -> None:
        """The checkpoint first, the evaluations' rows after it, which are in it: what is in the file stays there.

        content: of the checkpoint, None where the state cannot be saved.
        """
        self.verify()
        if content is not None:
            checkpoint.save(self._out / CHECKPOINTS, state.global_step, content)
        self._evaluations.append(state.evaluations[self._rows_written :])
        self._rows_written = len(state.evaluations)

    def write_metrics(self) -> list[str]:
        """Writes the training metrics that were logged; sentences on those that are no numbers.

        Of a trial that goes on from a checkpoint, those of the steps after it are dropped, and written again.
        """
        self.verify()
        return self.metrics_logger.flush()

    def verify(self) -> None:
        """Raises InfrastructureError where the lock is another's now."""
        self._lock.verify()

    def write_result(self, result: Mapping[str, Any]) -> None:
        self._begin()
        write_result(self._out, result)

    def _begin(self) -> None:
        self.verify()
        self._evaluations.begin()
        self._measurements.begin()


def write_result(out: Path, result: Mapping[str, Any]) -> None:
    """The checkpoints go, but the newest of a trial that racing has ended: it may have to go on."""
    (out / CHECKPOINTS).mkdir(exist_ok=True)
    write_json(out / FINISHED, result)
    write_json(out / official_files.RESULT, result)
    goes_on = result["status"] == "pruned"
    checkpoint.remove(out / CHECKPOINTS, all_but=1 if goes_on else 0)
    if not goes_on:
        shutil.rmtree(out / COMPILED, ignore_errors=True)


def take_back_result(out: Path) -> None:
    """The trial is as if it had been interrupted: it goes on from its checkpoint. A kill in between leaves a result."""
    (out / FINISHED).unlink(missing_ok=True)
    (out / official_files.RESULT).unlink(missing_ok=True)


def read_result(out: Path) -> dict[str, Any] | None:
    """The result of a trial that has ended, None for one that has not. A `result.json` that was deleted comes back.

    Raises InfrastructureError for a result that is damaged or cannot be read.
    """
    result = find_result(out)
    if result is not None and not (out / official_files.RESULT).exists():
        write_json(out / official_files.RESULT, result)
    return result


def find_result(out: Path) -> dict[str, Any] | None:
    """As `read_result`, but nothing is written."""
    result = _read(out / official_files.RESULT)
    return _read(out / FINISHED) if result is None else result


def keep_result(out: Path) -> None:
    """The result once more where only `result.json` has it: Snakemake deletes outputs before it makes them anew."""
    with contextlib.suppress(InfrastructureError, OSError):  # a damaged one is no loss
        if not (out / FINISHED).exists() and (result := _read(out / official_files.RESULT)) is not None:
            (out / CHECKPOINTS).mkdir(exist_ok=True)
            write_json(out / FINISHED, result)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InfrastructureError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError:
        raise InfrastructureError(f"{path} is damaged; remove it, and it comes back or is made anew.") from None


def has_begun(out: Path) -> bool:
    """Whether a trial has left anything to go on from."""
    return any((out / CHECKPOINTS).glob("checkpoint_*"))


def log_error(out: Path, text: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with (out / official_files.ERRORS).open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text.rstrip("\n") + "\n")


def _rows_until(path: Path, global_step: int) -> list[dict[str, str]]:
    """The training metrics that a trial logged before the step from which it goes on."""
    if global_step == 0 or not path.exists():
        return []
    rows = official_files.whole_rows(path)
    return [row for row in rows if row.get("global_step", "").isdecimal() and int(row["global_step"]) < global_step]
