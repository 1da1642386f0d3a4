"""Real trials on the mini scale: their files, and that a killed one goes on as if nothing had happened."""

import csv
import dataclasses
import errno
import functools
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from algoperf.benchmark.facts import InfrastructureError, UsageError
from algoperf.benchmark.identity import make_trial
from algoperf.machine.interruption import InterruptionError, Watch
from algoperf.records import checkpoint, official_files
from algoperf.trial import journal, session, setup, superseded
from scoring.command import score_logs
from tests.conftest import REPOSITORY
from tests.support.little_trials import little_data, made
from tests.support.little_trials import run as run_little
from tests.support.nightly import pytorch_first
from tests.support.own_submissions import write

TIMES = ("accumulated_submission_time", "accumulated_eval_time", "accumulated_logging_time", "score", "total_duration")


class Killed(BaseException):
    """The end of the process, as far as the trial can tell."""


class Ticks:
    """A clock that goes on by one second whenever it is asked: the same evaluations at the same steps in every run."""

    def __init__(self):
        self._ticks = itertools.count()

    def __call__(self) -> float:
        return float(next(self._ticks))


def set_up(framework, out, data_dir, workload="criteo1tb", submission="nadamw", max_steps=35):
    identity = make_trial("mini", "external", submission, framework, workload, 0, 1)
    return setup.set_up(identity, out, data_dir, max_steps)


def ticking(setup):
    """The same trial with a budget and an evaluation period in ticks, a few of which make a step."""
    setup.workload.spec = dataclasses.replace(setup.workload.spec, eval_period=30.0)
    return dataclasses.replace(setup, max_runtime=1_000.0, evaluated_every=None)


def run(setup, killed_after=None):
    """Trains to the end, or is killed after some evaluations. Returns the evaluations' rows."""
    seen = []

    def report(state):
        seen.append(state.global_step)
        if len(seen) == killed_after:
            raise Killed

    try:
        session.execute(ticking(setup), report, now=Ticks())
    except Killed:
        return None
    with (setup.out / official_files.EVALUATIONS).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data_dir):
    """Of each framework a trial that nothing interrupts: where it lies, and its evaluations."""

    @functools.cache
    def trained(framework):
        out = tmp_path_factory.mktemp("whole") / framework
        return out, run(set_up(framework, out, data_dir))

    return trained


def without_times(rows):
    return [{name: value for name, value in row.items() if name not in (*TIMES, "preemption_count")} for row in rows]


NIGHTLY_IN_JAX = pytest.mark.parametrize("framework", pytorch_first("a trial's files and ends in JAX"))


@pytest.mark.usefixtures("few_evaluated")
class TestTrial:
    @NIGHTLY_IN_JAX
    def test_a_trial_leaves_the_files_of_the_official_layout(self, framework, tmp_path, data_dir):
        setup = set_up(framework, tmp_path / "trial_1", data_dir, max_steps=30)
        rows = run(setup)
        assert {path.name for path in setup.out.iterdir()} == {
            "eval_measurements.csv",
            "measurements.csv",
            "hparams.json",
            "meta_data_0.json",
            "result.json",
            "checkpoints",
        }
        assert [path.name for path in (setup.out / "checkpoints").iterdir()] == ["finished.json"]
        assert list(rows[0]) == sorted(rows[0])
        assert {*TIMES, "global_step", "preemption_count", "test/loss", "test/num_examples", "train/loss"} <= set(
            rows[0]
        )
        assert {"validation/loss", "validation/num_examples"} <= set(rows[0])
        assert rows[0]["global_step"] == "1"
        assert all(row["score"] == row["accumulated_submission_time"] for row in rows)
        result = json.loads((setup.out / "result.json").read_text())
        assert result["status"] in ("reached", "budget_exhausted")
        assert result["global_step"] == 30
        assert result["seed"] == setup.seed
        assert result["hyperparameters"] == json.loads((setup.out / "hparams.json").read_text()) == setup.point
        assert result["hardware"]["count"] == 1
        assert {"numpy"} < set(result["versions"])
        metadata = json.loads((setup.out / "meta_data_0.json").read_text())
        assert metadata["rng_seed"] == setup.seed
        assert 0 < metadata["seconds_to_first_step"] < 3_600
        assert metadata["hardware_evidence"]["host"] == result["hardware_evidence"]["begin"]["host"]
        # Training improves on the first evaluation: nothing here is a stand-in.
        assert float(rows[-1]["train/loss"]) < float(rows[0]["train/loss"])

    @NIGHTLY_IN_JAX
    def test_a_mini_trial_is_evaluated_and_ends_by_its_steps_on_a_machine_of_any_speed(
        self, framework, tmp_path, data_dir
    ):
        def trained(name, seconds):
            """By a clock that goes on by so many seconds whenever it is asked."""
            setup = set_up(framework, tmp_path / name, data_dir, max_steps=12)
            result = session.execute(setup, lambda state: None, now=itertools.count(step=seconds).__next__)
            with (setup.out / official_files.EVALUATIONS).open(newline="") as file:
                rows = list(csv.DictReader(file))
            return without_times(rows), result["status"], float(rows[-1]["score"])

        quick, slow = trained("quick", 1e-3), trained("slow", 1.0)
        assert quick[:2] == slow[:2]
        assert [row["global_step"] for row in quick[0]] == ["1", "5", "10", "12"]
        assert quick[1] == "budget_exhausted"
        assert slow[2] == pytest.approx(1_000 * quick[2])

    @NIGHTLY_IN_JAX
    def test_a_resumed_trial_is_the_uninterrupted_one_bit_by_bit(self, framework, whole, tmp_path, data_dir):
        undisturbed, rows = whole(framework)
        assert len(rows) >= 4
        out = tmp_path / "interrupted"
        for killed_after in (1, 2):
            assert run(set_up(framework, out, data_dir), killed_after) is None
            assert not (out / "result.json").exists()
        # What was written after the checkpoint is not part of the trial.
        with (out / official_files.EVALUATIONS).open("a") as file:
            file.write("1,2,3")
        resumed = run(set_up(framework, out, data_dir))
        assert without_times(resumed) == without_times(rows)
        assert [row["preemption_count"] for row in resumed] == ["0", "1", "1", *["2"] * (len(rows) - 3)]
        # Charged time goes on: neither the restart nor the compilation after it adds to it.
        for name in ("accumulated_submission_time", "score"):
            assert [row[name] for row in resumed] == [row[name] for row in rows]
        result = json.loads((out / "result.json").read_text())
        assert result["preemptions"] == 2
        assert {path.name for path in out.glob("meta_data_*.json")} == {f"meta_data_{i}.json" for i in range(3)}
        assert (out / "measurements.csv").read_text() == (undisturbed / "measurements.csv").read_text()

    @NIGHTLY_IN_JAX
    def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(self, framework, whole, tmp_path, data_dir):
        out = tmp_path / "damaged"
        run(set_up(framework, out, data_dir), killed_after=3)
        newest = max((out / "checkpoints").iterdir())
        newest.write_bytes(newest.read_bytes()[:-100])
        resumed = run(set_up(framework, out, data_dir))
        assert without_times(resumed) == without_times(whole(framework)[1])
        assert str(newest) in (out / "error.log").read_text()

    @NIGHTLY_IN_JAX
    def test_a_finished_trial_returns_at_once(self, framework, tmp_path, data_dir):
        out = tmp_path / "trial_1"
        run(set_up(framework, out, data_dir, max_steps=2))
        before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
        command = [*cli(framework, out, data_dir), "--max-steps", "2"]
        subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY)
        assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


@NIGHTLY_IN_JAX
@pytest.mark.usefixtures("few_evaluated")
def test_a_trial_that_is_told_to_stop_between_evaluations_goes_on_there(framework, tmp_path, data_dir):
    whole = run(set_up(framework, tmp_path / "whole", data_dir, max_steps=25))
    out = tmp_path / "stopped"
    for steps, step in ((13, 13), (1, 14), (6, 20)):
        with pytest.raises(InterruptionError, match=f"step {step}"):
            session.execute(
                ticking(set_up(framework, out, data_dir, max_steps=25)),
                lambda state: None,
                now=Ticks(),
                watch=StopsAfter(steps),
            )
        assert not (out / "lock.json").exists()
        assert not (out / "error.log").exists()
    resumed = run(set_up(framework, out, data_dir, max_steps=25))
    # This clock goes on whenever it is asked, so a stop costs ticks and an evaluation may come at another step.
    assert without_times(resumed)[-1] == without_times(whole)[-1]
    assert json.loads((out / "result.json").read_text())["preemptions"] == 3
    assert (out / "measurements.csv").read_text() == (tmp_path / "whole" / "measurements.csv").read_text()


class StopsAfter(Watch):
    """Stops the trial after some steps, as a signal does."""

    def __init__(self, steps):
        super().__init__(lambda: 0.0)
        self._left = steps

    @property
    def is_interrupted(self):
        self._left -= 1
        return self._left == 0


@pytest.mark.usefixtures("few_evaluated")
def test_a_result_that_was_deleted_comes_back_without_training(tmp_path, data_dir):
    """Snakemake deletes the outputs of jobs whose end it did not see."""
    out = tmp_path / "trial_1"
    run(set_up("pytorch", out, data_dir, max_steps=2))
    result = (out / "result.json").read_text()
    (out / "result.json").unlink()
    definition = set_up("pytorch", out, data_dir, max_steps=2).definition
    assert superseded.finished_result(definition, out) == json.loads(result)
    assert (out / "result.json").read_text() == result


def test_a_full_disk_is_said_in_a_sentence_and_loses_nothing(tmp_path, data_dir):
    """The limit on the size of a file, as a disk that is full when a trial goes on to its second checkpoint."""
    out = tmp_path / "trial_1"
    whole = run(set_up("pytorch", tmp_path / "whole", data_dir, max_steps=5))
    assert run(set_up("pytorch", out, data_dir, max_steps=5), killed_after=1) is None
    (first,) = (out / "checkpoints").iterdir()
    saved = first.read_bytes()
    command = [*cli("pytorch", out, data_dir), "--max-steps", "5"]
    shell = ["bash", "-c", 'ulimit -f 64; trap "" XFSZ; exec "$@"', "bash"]
    failed = subprocess.run([*shell, *command], capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert failed.returncode == 1
    assert re.search(r"error: .*checkpoint.*: File too large", failed.stderr), failed.stderr
    assert "Traceback" not in failed.stderr
    assert not list(out.rglob("*.tmp"))
    assert first.read_bytes() == saved
    assert without_times(run(set_up("pytorch", out, data_dir, max_steps=5))) == without_times(whole)


@pytest.mark.usefixtures("few_evaluated")
def test_the_checkpoint_of_another_trial_is_refused(tmp_path, data_dir):
    run(set_up("pytorch", tmp_path, data_dir), killed_after=1)
    with pytest.raises(UsageError, match="another trial"):
        run(set_up("pytorch", tmp_path, data_dir, submission="nesterov"))


@pytest.fixture
def own(tmp_path):
    """A submission of one's own, to be edited: a baseline's code under another name."""
    folder = tmp_path / "own"
    folder.mkdir()
    for name in ("pytorch.py", "search_space.json"):
        shutil.copy(REPOSITORY / "submissions" / "nesterov" / name, folder)
    return folder


def edit(folder, code):
    with (folder / "pytorch.py").open("a") as file:
        file.write(code)


@pytest.mark.usefixtures("few_evaluated")
@pytest.mark.parametrize("ruleset", ["external", "target_setting"])
def test_a_trial_that_has_ended_is_not_trained_further_where_its_result_is_missing(
    tmp_path, data_dir, monkeypatch, ruleset
):
    """Killed, or the disk is full, between the last checkpoint and the result."""
    trial = make_trial("mini", ruleset, "nadamw", "pytorch", "criteo1tb", 0, 1)
    out = tmp_path / "trial_1"
    with monkeypatch.context() as patch:
        patch.setattr(journal, "write_result", full_disk)
        with pytest.raises(InfrastructureError, match="No space left"):
            session.execute(setup.set_up(trial, out, data_dir, 3), lambda state: None)
    before = (out / official_files.EVALUATIONS).read_text()
    steps = []
    again = setup.set_up(trial, out, data_dir, 3)
    monkeypatch.setattr(session, "begin", steps.append)
    result = session.execute(again, steps.append)
    assert (result["status"], result["global_step"], result["preemptions"], steps) == ("budget_exhausted", 3, 1, [])
    assert result["charged_time"] > 0
    assert (out / official_files.EVALUATIONS).read_text() == before


def full_disk(*arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


def stopped(setup, steps):
    with pytest.raises(InterruptionError):
        session.execute(setup, lambda state: None, watch=StopsAfter(steps))


@pytest.mark.usefixtures("few_evaluated")
def test_a_trial_half_done_under_edited_code_says_so_and_begins_anew_and_an_edit_taken_back_goes_on(
    tmp_path, data_dir, own, capsys
):
    out = tmp_path / "trial_1"

    def trial():
        return set_up("pytorch", out, data_dir, submission=str(own), max_steps=5)

    code = (own / "pytorch.py").read_text()
    stopped(trial(), 3)
    stopped(trial(), 1)
    assert capsys.readouterr().err == ""
    edit(own, "NEW = 1\n")
    stopped(trial(), 2)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "another content of the submission (pytorch.py): it is in superseded/ now, and the trial begins" in said[0]
    assert newest_checkpoint(out) == "checkpoint_000000000002.npz"
    (own / "pytorch.py").write_text(code + "# a comment\n")
    result = session.execute(trial(), lambda state: None)
    assert "goes on with what was set aside before" in capsys.readouterr().err
    assert (result["global_step"], result["preemptions"]) == (5, 2)
    assert result["flags"] == []
    edit(own, "NEW = 1\n")
    result = session.execute(trial(), lambda state: None)
    assert (result["global_step"], result["preemptions"]) == (5, 1)
    assert trial().definition.difference(result, is_finished=True) == ""


def test_a_begun_session_goes_on_with_what_it_loaded_and_says_that_the_files_changed(tmp_path, data_dir, own):
    trial = set_up("pytorch", tmp_path / "trial_1", data_dir, submission=str(own), max_steps=2)
    edit(own, "raise RuntimeError\n")
    result = session.execute(trial, lambda state: None)
    assert [flag["rule"] for flag in result["flags"]] == ["content"]
    assert result["submission_sha256"] == trial.definition.content.sha256


@pytest.mark.usefixtures("few_evaluated")
def test_what_is_half_done_on_another_number_of_devices_is_refused(tmp_path, data_dir, monkeypatch):
    stopped(set_up("pytorch", tmp_path, data_dir), 1)
    trial = set_up("pytorch", tmp_path, data_dir)
    monkeypatch.setattr(type(trial.backend), "num_devices", 2)
    with pytest.raises(UsageError, match="half done on 1 devices, and here are 2"):
        session.execute(trial, lambda state: None)


def cli(framework, out, data_dir, submission="nadamw", workload="criteo1tb"):
    return [
        *(sys.executable, "-m", "algoperf", "trial", "--workload", workload, "--framework", framework),
        *("--submission", str(submission), "--protocol", "mini", "--ruleset", "external", "--study", "0"),
        *("--trial", "1", "--data-dir", str(data_dir), "--out", str(out)),
    ]


def newest_checkpoint(out):
    return max((path.name for path in out.glob("checkpoints/*.npz")), default="")


KILLS = 2


@pytest.mark.nightly("a trial whose command is killed again and again")  # by day: test_interruptions.py
def test_kill_9_at_any_moment_and_the_same_command_finishes(tmp_path, data_dir):
    out = tmp_path / "trial_1"
    command = [*cli("pytorch", out, data_dir, submission="nesterov"), "--max-steps", "60"]
    rng = np.random.default_rng(0)
    for _ in range(KILLS):
        before = newest_checkpoint(out)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, cwd=REPOSITORY)
        while newest_checkpoint(out) <= before:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(rng.random() / 2)  # anywhere in a step, an evaluation, a row or a checkpoint
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not (out / "result.json").exists()
    subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY)
    result = json.loads((out / "result.json").read_text())
    assert result["status"] in ("reached", "budget_exhausted")
    assert result["preemptions"] == KILLS
    with (out / official_files.EVALUATIONS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    steps = [int(row["global_step"]) for row in rows]
    charged = [float(row["accumulated_submission_time"]) for row in rows]
    assert steps == sorted(set(steps))
    assert charged == sorted(charged)
    assert {int(row["preemption_count"]) for row in rows} == set(range(KILLS + 1))
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["finished.json"]
    assert not (out / "lock.json").exists()


@pytest.fixture(scope="module")
def little(data_dir, tmp_path_factory):
    """Where the mini data lie, and where a few rows of them do."""
    return data_dir, little_data(data_dir, tmp_path_factory.mktemp("little"))


@pytest.mark.parametrize("place", ["a step", "an evaluation", "the reading ahead", "the first words"])
def test_memory_that_is_missing_is_a_result_wherever_it_shows(place, little, tmp_path, monkeypatch):
    """An allocation that no machine can satisfy, really asked of PyTorch."""
    step = "torch.empty(2**50)" if place == "a step" else "pass"
    path = write(tmp_path / "one", step, imported="import torch")
    setup = made(path, tmp_path / "out", little, "pytorch")

    def too_much(*arguments):
        return torch.empty(2**50)

    if place == "an evaluation":
        setup.workload.forward_for_evaluation = too_much
    elif place == "the reading ahead":
        monkeypatch.setattr(type(setup.backend), "place_batch", too_much)
    elif place == "the first words":
        monkeypatch.setattr(type(setup.backend), "from_first", too_much)
    assert run_little(setup)["status"] == "out_of_memory"
    assert json.loads((tmp_path / "out" / "result.json").read_text())["status"] == "out_of_memory"
    assert "allocate" in (tmp_path / "out" / "error.log").read_text()


@pytest.mark.parametrize("where", ["step", "init", "state_dict"])
def test_to_leave_by_sys_exit_is_no_way_to_end_a_trial(where, little, tmp_path):
    imported = (
        "import sys\nclass Leaving:\n    def state_dict(self): sys.exit(0)\n    def load_state_dict(self, s): pass"
    )
    init = {"init": "sys.exit(0)", "state_dict": "return Leaving()"}.get(where, "return {}")
    path = write(tmp_path / "one", "sys.exit(0)" if where == "step" else "pass", init, imported)
    result = run_little(made(path, tmp_path / "out", little, "pytorch"))
    assert result["status"] == ("budget_exhausted" if where == "state_dict" else "submission_error")


@pytest.mark.parametrize(
    ("imported", "more", "sentence"),
    [
        ("import sys; sys.exit(0)", "", "cannot be imported: SystemExit: 0."),
        ("class Mine(BaseException): pass\nraise Mine('x')", "", "cannot be imported: Mine: x."),
        ("", "def get_batch_size(name): return 1 // 0", "does not say its batch size for criteo1tb: ZeroDivisionError"),
        ("", "def get_batch_size(name): return None", "does not say its batch size for criteo1tb: TypeError"),
        (
            "import sys",
            "def get_batch_size(name): sys.exit(0)",
            "does not say its batch size for criteo1tb: SystemExit",
        ),
        ("", "def get_batch_size(name): return -4", "has the batch size -4 for criteo1tb; it must be at least 1."),
        ("", "def get_eval_batch_size(name): return 0", "has the evaluation batch size 0 for criteo1tb"),
        ("", "def get_eval_batch_size(name): raise OSError('x')", "does not say its evaluation batch size"),
    ],
)
def test_what_a_submission_does_not_say_is_a_sentence(imported, more, sentence, little, tmp_path):
    path = write(tmp_path / "one", imported=imported, more=more)
    with pytest.raises(UsageError) as error:
        made(path, tmp_path / "out", little, "pytorch")
    assert sentence in str(error.value)
    assert not (tmp_path / "out").exists()


BUSY = "while True: pass"


@pytest.mark.nightly("a whole trial beside busy loops")
def test_two_busy_loops_beside_a_trial_are_said_beside_its_score(tmp_path, data_dir):
    results = tmp_path / "results"
    out = results / "mini/external/nadamw_pytorch/study_0/criteo1tb_pytorch/trial_1"
    loops = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(2)]
    try:
        subprocess.run(cli("pytorch", out, data_dir), cwd=REPOSITORY, check=True, capture_output=True)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    beside = json.loads((out / "result.json").read_bytes())["hardware_evidence"]["beside"]
    assert beside["others_seconds"] > 0.2 * beside["processor_seconds"] > 0
    caveats = score_logs(results, None, None, "as-documented", tmp_path / "scores", with_report=False).caveats
    assert any(caveat.startswith("others were at work beside 1 of 1 trials and took up to ") for caveat in caveats)


@pytest.mark.usefixtures("few_evaluated")
def test_what_others_took_before_a_trial_was_interrupted_is_not_forgotten(tmp_path, data_dir):
    run(set_up("pytorch", tmp_path, data_dir), killed_after=1)
    before = checkpoint.restore_latest(tmp_path / "checkpoints")[0]["beside"]
    run(set_up("pytorch", tmp_path, data_dir))
    after = json.loads((tmp_path / "result.json").read_bytes())["hardware_evidence"]["beside"]
    assert all(after[name] >= before[name] for name in before)
    assert after["processor_seconds"] > before["processor_seconds"] > 0
