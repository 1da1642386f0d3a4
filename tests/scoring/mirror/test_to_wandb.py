"""W&B, offline: what stands, in its own messages, in the files that would be sent."""

import json
import os
import struct

import pytest

pytest.importorskip("wandb", reason="the extra wandb is not installed")

from wandb.proto.wandb_internal_pb2 import Record

from scoring.mirror.follow import Follower
from scoring.mirror.to_wandb import WeightsAndBiases
from tests.scoring.mirror.conftest import FOLDER

pytestmark = pytest.mark.nightly("W&B, offline")


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "here"))
    (tmp_path / "here").mkdir()


def look(tmp_path):
    """By a mirror that has just been begun."""
    Follower(tmp_path / "results", WeightsAndBiases(), lambda sentence: None).look()


def records(tmp_path):
    """What stands in all files, the first ones first: blocks as LevelDB's log has them, of W&B's own messages."""
    for path in sorted((tmp_path / "here" / "wandb").glob("offline-run-*/run-*.wandb"), key=os.path.getmtime):
        data, at, parts = path.read_bytes(), 7, b""  # after the head of the file
        while at + 7 <= len(data):
            if 32_768 - at % 32_768 < 7:  # the rest of a block is empty
                at += 32_768 - at % 32_768
                continue
            length, kind = struct.unpack_from("<HB", data, at + 4)
            parts += data[at + 7 : at + 7 + length]
            at += 7 + length
            if kind in (1, 4):  # whole, or the last part
                yield Record.FromString(parts)
                parts = b""


def items(of):
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in of}


def test_the_files_have_every_row_once_and_what_the_run_is(trial, tmp_path):
    for _ in range(2):
        trial.evaluate()
        look(tmp_path)
        look(tmp_path)
    trial.evaluate().end()
    look(tmp_path)
    found = list(records(tmp_path))
    runs = [record.run for record in found if record.WhichOneof("record_type") == "run"]
    assert {(run.display_name, run.project, run.run_group, run.job_type) for run in runs} == {
        (FOLDER, "algoperf", "mini/external/mine_jax", "wmt")
    }
    assert len({run.run_id for run in runs}) == 1
    config = items(runs[-1].config.update)
    assert (config["learning_rate"], config["betas"], config["workload"]) == (0.1, [0.9, 0.99], "wmt")
    rows = [items(record.history.item) for record in found if record.WhichOneof("record_type") == "history"]
    assert [row["_step"] for row in rows] == list(range(10))
    assert [
        (row["global_step"], row["time/accumulated_submission_time"], row["validation/bleu"])
        for row in rows
        if "validation/bleu" in row
    ] == [(10, 5, 1.5), (20, 10, 3), (30, 15, 4.5)]
    assert [row["global_step"] for row in rows if "submission/loss" in row] == [0, 5, 10, 15, 20, 25, 30]
    summary = {}
    for record in found:
        if record.WhichOneof("record_type") == "summary":
            summary |= items(record.summary.update)
    assert summary["status"] == "reached"
