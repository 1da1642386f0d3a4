"""The command, and that each row comes to a target once, however it goes."""

import json
import os
import subprocess
import sys

import pytest

from algoperf.benchmark.facts import InfrastructureError
from scoring.mirror.follow import Follower
from tests.conftest import REPOSITORY
from tests.scoring.mirror.conftest import Trial


class Remembers:
    """A target that is a file of JSON lines, and can be out of reach."""

    def __init__(self, path):
        self.path, self.is_there = path, True

    def position(self, run):
        if not self.is_there:
            raise InfrastructureError("the target is out of reach.")

    def write(self, run, rows, position):
        self.position(run)
        with self.path.open("a") as file:
            json.dump(
                {"name": run.place.name, "status": run.facts["status"], "steps": [row.step for row in rows]}, file
            )
            file.write("\n")

    def close(self):
        pass


def test_what_is_new_is_written_once(trial, tmp_path):
    target, said = Remembers(tmp_path / "target"), []
    follower = Follower(trial.folder.parents[5], target, said.append)
    assert follower.look() == 1
    trial.evaluate()
    target.is_there = False
    with pytest.raises(InfrastructureError, match="out of reach"):
        follower.look()
    target.is_there = True
    for _ in range(2):
        follower.look()
    trial.evaluate().end()
    for _ in range(2):
        follower.look()
    steps = [json.loads(line)["steps"] for line in target.path.read_text().splitlines()]
    assert steps == [[0, 5, 10], [10, 15, 20, 20]]
    assert said == ["0 rows of 0 of 1 trial", "3 rows of 1 of 1 trial", "4 rows of 1 of 1 trial"]


def test_a_trial_that_is_begun_anew_is_written_whole(trial, tmp_path):
    target = Remembers(tmp_path / "target")
    follower = Follower(tmp_path / "results", target, lambda sentence: None)
    trial.evaluate()
    follower.look()
    trial.folder.rename(tmp_path / "aside")
    Trial(tmp_path / "results", slowness=2.0).evaluate().evaluate()
    follower.look()
    steps = [json.loads(line)["steps"] for line in target.path.read_text().splitlines()]
    assert steps == [[0, 5, 10], [0, 5, 10, 10, 15, 20]]


def test_rows_that_somebody_has_changed_are_left_out_and_said(trial, tmp_path):
    target, said = Remembers(tmp_path / "target"), []
    follower = Follower(tmp_path / "results", target, said.append)
    trial.evaluate()
    follower.look()
    path = trial.folder / "measurements.csv"
    path.write_text(path.read_text().replace("1.0", "1.5"))
    follower.look()
    follower.look()
    assert said[1:] == [
        f"{'/'.join(trial.folder.parts[-6:])}: its rows are no longer those that were mirrored; "
        "they are left as they were"
    ]


def test_the_command_refuses_in_a_sentence_what_it_cannot_do(algoperf, tmp_path):
    for to in ("tensorboard", "tensorboard:", "comet", "wandb:x", "mlflow"):
        code, _, error = algoperf("mirror", tmp_path, "--to", to)
        assert (code, error.count("\n")) == (2, 1)
        assert "they can to tensorboard:DIR, mlflow:URI and wandb" in error
    pytest.importorskip("tensorboard")
    code, _, error = algoperf("mirror", tmp_path / "missing", "--to", f"tensorboard:{tmp_path}")
    assert (code, "there is no folder of results" in error) == (2, True)
    code, _, error = algoperf("mirror", tmp_path, "--to", f"tensorboard:{tmp_path / 'board'}", "--once")
    assert (code, "there is no trial under" in error) == (2, True)
    assert not (tmp_path / "board").exists()


def test_an_extra_that_is_missing_is_named(tmp_path):
    (tmp_path / "algoperf_snakemake-9.dist-info").mkdir()
    requires = "Requires-Dist: wandb; extra == 'wandb'"
    metadata = f"Metadata-Version: 2.4\nName: algoperf-snakemake\nVersion: 9\nProvides-Extra: wandb\n{requires}\n"
    (tmp_path / "algoperf_snakemake-9.dist-info" / "METADATA").write_text(metadata)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{REPOSITORY}"}
    code = "import sys; sys.modules['wandb'] = None; sys.argv = ['algoperf', 'mirror', '.', '--to', 'wandb']\n"
    code += "from algoperf.commands.cli import main; main()"
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1), ran.stderr
    assert "the extra wandb has it" in ran.stderr
