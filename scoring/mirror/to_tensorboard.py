"""Runs as TensorBoard's event files, by its own protocol buffers and its own writer of records; no TensorFlow.

A run is one file, to which is appended, and `mirror.json` beside it, which says until where: what a kill has left
beyond that is cut off before anything more is written.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from algoperf.benchmark.facts import InfrastructureError
from algoperf.records.atomic import write_json
from scoring.logs.files import read_object
from scoring.mirror.runs import CHANGING, Position, Row, Run

_STATE = "mirror.json"


class TensorBoard:
    """A folder for `tensorboard --logdir`, with the trials' own paths in it. See `follow.Target`."""

    def __init__(self, folder: Path):
        self._folder = folder

    def position(self, run: Run) -> Position | None:
        state = self._state(self._place(run))
        return Position(**state["position"]) if state else None

    def write(self, run: Run, rows: Sequence[Row], position: Position) -> None:
        folder = self._place(run)
        try:
            state = self._state(folder)
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f"events.out.tfevents.{position.began:.0f}.{run.key}").open("ab") as file:
                file.truncate(state["bytes"] if state else 0)
                records = RecordWriter(file)
                for event in _events(run, rows, position, is_new=not state):
                    records.write(event.SerializeToString())
                file.flush()
                size = file.tell()
            write_json(folder / _STATE, {"key": run.key, "bytes": size, "position": dataclasses.asdict(position)})
        except OSError as error:
            raise InfrastructureError(f"{folder} cannot be written: {error.strerror}.") from error

    def close(self) -> None:
        pass

    def _place(self, run: Run) -> Path:
        """The trial's path; where another training of it is there already, with the run's key beside it."""
        folder = self._folder / run.place.name
        state = self._state(folder)
        return folder.with_name(f"{folder.name}-{run.key}") if state and state["key"] != run.key else folder

    def _state(self, folder: Path) -> dict[str, Any] | None:
        try:
            return read_object(str(folder / _STATE))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InfrastructureError(f"{folder / _STATE} cannot be read: {error.strerror}.") from error


def _events(run: Run, rows: Sequence[Row], position: Position, is_new: bool) -> Iterator[Event]:
    """RELATIVE time in TensorBoard is that since the first event: charged seconds."""
    if is_new:
        yield Event(wall_time=position.began, file_version="brain.Event:2")
        yield Event(wall_time=position.began, summary=_start(run, position.began))
    for row in rows:
        values = [Summary.Value(tag=name, simple_value=value) for name, value in row.values.items()]
        yield Event(wall_time=position.began + row.seconds, step=row.step, summary=Summary(value=values))
    last = max(
        (row for of_file in run.rows.values() for row in of_file), key=lambda row: row.step, default=Row(0, 0, {})
    )
    now = position.began + last.seconds
    yield Event(wall_time=now, step=last.step, summary=text_pb("trial", _as_markdown({**run.facts, **run.point})))
    if run.status is not None:
        status = api_pb2.STATUS_FAILURE if run.has_failed else api_pb2.STATUS_SUCCESS
        ended = HParamsPluginData(session_end_info=SessionEndInfo(status=status, end_time_secs=now))
        yield Event(wall_time=now, summary=_hparams(metadata.SESSION_END_INFO_TAG, ended))


def _start(run: Run, began: float) -> Summary:
    """What a run is, for TensorBoard's table of hyperparameters, which takes each once."""
    info = SessionStartInfo(group_name=run.place.name, start_time_secs=began)
    lasting = {name: value for name, value in run.facts.items() if name not in CHANGING}
    for name, value in {**lasting, **run.point}.items():
        match _plain(value):
            case bool(plain):
                info.hparams[name].bool_value = plain
            case str(plain):
                info.hparams[name].string_value = plain
            case plain:
                info.hparams[name].number_value = plain
    return _hparams(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=info))


def _hparams(tag: str, data: HParamsPluginData) -> Summary:
    """What `tensorboard.plugins.hparams.summary` makes, which imports TensorFlow."""
    described = metadata.create_summary_metadata(data)
    return Summary(value=[Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)])


def _plain(value: Any) -> str | float | bool:
    """What TensorBoard takes for a hyperparameter."""
    return value if isinstance(value, str | int | float) else json.dumps(value)


def _as_markdown(facts: Mapping[str, Any]) -> str:
    cells = ((name, str(_plain(value)).replace("|", "\\|")) for name, value in facts.items())
    return "\n".join(("| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in cells)))
