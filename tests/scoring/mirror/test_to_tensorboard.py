"""What TensorBoard's own reader finds where the mirror wrote."""

import math
import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")

from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util import tensor_util

from algoperf.benchmark.facts import InfrastructureError
from algoperf.records import official_files
from algoperf.records.atomic import write_json
from scoring.mirror.follow import Follower
from scoring.mirror.to_tensorboard import TensorBoard
from tests.conftest import REPOSITORY
from tests.scoring.mirror.conftest import BEGAN, FOLDER, Trial
from tests.support.patience import PATIENCE


def look(tmp_path):
    """By a mirror that has just been begun."""
    Follower(tmp_path / "results", TensorBoard(tmp_path / "board"), lambda sentence: None).look()


def read(folder):
    found = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    found.Reload()
    return found


def scalars(found, tag):
    return [
        (event.step, event.wall_time - BEGAN, float(tensor_util.make_ndarray(event.tensor_proto)))
        for event in found.Tensors(tag)
    ]


def test_the_reader_finds_every_row_once_and_what_the_run_is(trial, tmp_path):
    for _ in range(2):
        trial.evaluate()
        look(tmp_path)
        look(tmp_path)
    trial.evaluate().end()
    look(tmp_path)
    found = read(tmp_path / "board" / FOLDER)
    assert scalars(found, "validation/bleu") == [(10, 5, 1.5), (20, 10, 3), (30, 15, 4.5)]
    assert [math.isnan(value) for _, _, value in scalars(found, "validation/loss")] == [False, True, False]
    assert [(step, seconds) for step, seconds, _ in scalars(found, "submission/loss")] == [
        (0, 0),
        (5, 2.5),
        (10, 5),
        (15, 7.5),
        (20, 10),
        (25, 12.5),
        (30, 15),
    ]
    texts = [tensor_util.make_ndarray(event.tensor_proto).item().decode() for event in found.Tensors("trial")]
    assert "| status | unfinished |" in texts[0]
    assert "| status | reached |" in texts[-1]
    assert "| hardware | 4 x NVIDIA A100, 40 GiB |" in texts[-1]
    said = found.summary_metadata
    start = plugin_data_pb2.HParamsPluginData.FromString(
        said["_hparams_/session_start_info"].plugin_data.content
    ).session_start_info
    assert start.hparams["learning_rate"].number_value == 0.1
    assert start.hparams["submission"].string_value == "mine_jax"
    assert "status" not in start.hparams  # which the end tells
    assert scalars(found, "time/accumulated_submission_time")[-1] == (30, 15, 15)
    end = plugin_data_pb2.HParamsPluginData.FromString(said["_hparams_/session_end_info"].plugin_data.content)
    assert end.session_end_info.end_time_secs == BEGAN + 15


def test_a_trial_that_failed_before_its_first_row_stands_at_its_beginning(trial, tmp_path):
    write_json(trial.folder / official_files.RESULT, {"status": "submission_error", "time_to_target": None})
    look(tmp_path)
    (event,) = read(tmp_path / "board" / FOLDER).Tensors("trial")
    assert (event.step, event.wall_time) == (0, BEGAN)


def test_what_a_kill_left_is_cut_off(trial, tmp_path):
    trial.evaluate()
    look(tmp_path)
    (events,) = (tmp_path / "board" / FOLDER).glob("*tfevents*")
    with events.open("ab") as file:
        file.write(b"half of a record")
    trial.evaluate()
    look(tmp_path)
    assert [step for step, _, _ in scalars(read(events.parent), "validation/bleu")] == [10, 20]


def test_another_training_of_a_trial_stands_beside_the_first(trial, tmp_path):
    trial.evaluate()
    look(tmp_path)
    trial.folder.rename(tmp_path / "aside")
    again = Trial(tmp_path / "results", slowness=2.0).evaluate()
    for _ in range(2):
        look(tmp_path)
        again.evaluate()
    first, second = sorted((tmp_path / "board" / FOLDER).parent.iterdir())
    assert second.name.startswith("trial_1-")
    assert scalars(read(first), "validation/bleu") == [(10, 5, 1.5)]
    assert scalars(read(second), "validation/bleu") == [(10, 10, 1.5), (20, 20, 3.0)]


def test_a_folder_that_cannot_be_written_is_said(trial, tmp_path):
    trial.evaluate()
    (tmp_path / "board").write_text("a file")
    with pytest.raises(InfrastructureError, match="cannot be"):
        look(tmp_path)


def test_the_command_follows_until_it_is_told_to_end(trial, tmp_path):
    trial.evaluate()
    command = [sys.executable, "-m", "algoperf", "mirror", "results", "--to", "tensorboard:board"]
    here = dict(cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stdout=subprocess.PIPE, text=True)
    process = subprocess.Popen(command, **here)
    assert process.stdout.readline() == "3 rows of 1 of 1 trial\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    trial.evaluate().end()
    ran = subprocess.run([*command, "--once"], check=False, **here)
    assert (ran.returncode, ran.stdout) == (0, "4 rows of 1 of 1 trial\n")
    assert [step for step, _, _ in scalars(read(tmp_path / "board" / FOLDER), "validation/bleu")] == [10, 20]
