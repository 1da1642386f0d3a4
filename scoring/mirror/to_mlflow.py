"""Runs on an MLflow server. Each knows in a tag of its own how much of it is mirrored: any machine can go on."""

import contextlib
import dataclasses
import itertools
import json
import re
from collections.abc import Iterator, Sequence

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from algoperf.benchmark.facts import InfrastructureError
from scoring.mirror.runs import Position, Row, Run

_RUN, _POSITION = "algoperf.run", "algoperf.mirrored"
_MOST = 1_000  # metrics that a server takes at once
_LONGEST = 5_000  # characters of a tag; of a parameter 6,000


class Mlflow:
    """uri: a server's, as MLflow takes it. An experiment for each protocol and ruleset. See `follow.Target`."""

    def __init__(self, uri: str):
        self._uri, self._client = uri, MlflowClient(tracking_uri=uri)
        self._experiments: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._positions: dict[str, Position] = {}

    def position(self, run: Run) -> Position | None:
        with self._reached():
            self._experiment(run)
        return self._positions.get(_name(run))

    def write(self, run: Run, rows: Sequence[Row], position: Position) -> None:
        with self._reached():
            experiment, name = self._experiment(run), _name(run)
            start = _milliseconds(position.began)
            if name not in self._ids:
                tags = {_RUN: name, "mlflow.runName": run.place.name}
                self._ids[name] = self._client.create_run(experiment, start, tags).info.run_id
            of_run = self._ids[name]
            facts = [RunTag(f"algoperf.{key}", value[:_LONGEST]) for key, value in run.facts.items()]
            point = [Param(_allowed(key), str(value)[:_LONGEST]) for key, value in run.point.items()]
            for metrics in _batches(rows, position.began):
                self._client.log_batch(of_run, metrics=metrics)
            # The position last: what is sent twice, after a kill, has the same time and step, and is there once.
            told = RunTag(_POSITION, json.dumps(dataclasses.asdict(position)))
            self._client.log_batch(of_run, params=point, tags=[*facts, told])
            if run.status is not None:
                ended = max((row.seconds for of_file in run.rows.values() for row in of_file), default=0.0)
                status = "FAILED" if run.has_failed else "FINISHED"
                self._client.set_terminated(of_run, status, _milliseconds(position.began + ended))

    def close(self) -> None:
        pass

    def _experiment(self, run: Run) -> str:
        """The id of a run's experiment; when it is first asked for, all its runs are looked up."""
        place = run.place
        name = "/".join(filter(None, ("algoperf", place.protocol, place.ruleset)))
        if name not in self._experiments:
            known = self._client.get_experiment_by_name(name)
            found = self._client.create_experiment(name) if known is None else known.experiment_id
            token = None
            while True:
                runs = self._client.search_runs([found], max_results=_MOST, page_token=token)
                for one in runs:
                    tags = one.data.tags
                    if _RUN in tags:
                        self._ids[tags[_RUN]] = one.info.run_id
                    if _POSITION in tags:
                        self._positions[tags[_RUN]] = Position(**json.loads(tags[_POSITION]))
                if not (token := runs.token):
                    break
            self._experiments[name] = found
        return self._experiments[name]

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except MlflowException as error:
            reason = str(error).strip().split("\n")[0]
            raise InfrastructureError(f"MLflow at {self._uri} does not take it: {reason}.") from error


def _name(run: Run) -> str:
    return f"{run.place.name}-{run.key}"


def _milliseconds(seconds: float) -> int:
    return round(1_000 * seconds)


def _batches(rows: Sequence[Row], began: float) -> Iterator[list[Metric]]:
    """Of charged seconds as wall-clock time, which MLflow draws as the time since the first one."""
    metrics = (
        Metric(_allowed(name), value, _milliseconds(began + row.seconds), row.step)
        for row in rows
        for name, value in row.values.items()
    )
    while batch := list(itertools.islice(metrics, _MOST)):
        yield batch


def _allowed(name: str) -> str:
    """MLflow has names of letters, digits and a few signs."""
    return re.sub(r"[^\w\-. /:]", "_", name)[:250]
