"""A cell is walked through by real processes, which are killed and go on; each stage is broken once on purpose."""

import json
import subprocess
import sys

import pytest

from algoperf.benchmark.facts import FRAMEWORKS
from tests.support.own_submissions import write
from tests.support.patience import PATIENCE


def rehearse(tmp_path, submission, framework, workload="ogbg", steps=4, *more):
    command = [sys.executable, "-m", "algoperf", "trial", "--rehearse", str(steps), "--workload", workload]
    command += ["--submission", str(submission), "--framework", framework, "--protocol", "mini"]
    command += ["--ruleset", "self", "--out", str(tmp_path / "out"), "--data-dir", str(tmp_path / "none"), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    path = tmp_path / "out" / "rehearsal.json"
    return done, json.loads(path.read_bytes()) if path.exists() else None


NIGHTLY = pytest.mark.nightly("stages of a rehearsal, each that breaks, and in JAX")


@NIGHTLY  # by day: test_workflow.py
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_cell_is_walked_through(framework, tmp_path):
    done, record = rehearse(tmp_path, "nadamw", framework)
    assert (done.returncode, record["failed"]) == (0, None), (tmp_path / "out" / "rehearsal.log").read_text()
    assert record["same_step"] == "bit by bit"
    assert record["examples"] == "made up"
    assert set(record["seconds"]) == {"set up", "first step", "evaluation", "restart"}
    assert record["seconds_a_step"] > 0
    assert record["peak_bytes"] > 50e6
    assert record["checkpoint_bytes"] > 1_000
    assert "bit by bit" in done.stdout


@NIGHTLY
def test_an_evaluation_is_no_part_of_a_step(tmp_path):
    """Of two steps the first one is evaluated, and the second one timed."""
    more = """
        import time
        def prepare_for_eval(**given):
            time.sleep(2)
            return given["optimizer_state"], given["current_param_container"], given["model_state"]
    """
    _, record = rehearse(tmp_path, write(tmp_path / "one", more=more), "pytorch", "criteo1tb", 2)
    assert record["failed"] is None, record["why"]
    assert record["seconds_a_step"] < 2


BROKEN = {
    "does not compile": ("raise TypeError('a shape that does not fit')", "return {}", "first step", "a shape that"),
    "is too large": ("raise MemoryError('too large')", "return {}", "first step", "out_of_memory"),
    "cannot be saved": ("pass", "return {'o': Broken()}", "checkpoint", "no way to save it"),
    "is another after the restart": (
        "optimizer_state['n'] = 0\nSEEN.append(1)\n"
        "for parameter in params.parameters(): parameter.data.add_(1e-3 * len(SEEN))",
        "return {}",
        "same step",
        "parts of the state",
    ),
}
CLASSES = """
SEEN = []
class Broken:
    def state_dict(self): raise NotImplementedError("no way to save it")
    def load_state_dict(self, state): pass
"""


@NIGHTLY  # by day: a cell of test_workflow.py
@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_is_a_sentence(name, tmp_path):
    step, init, stage, why = BROKEN[name]
    done, record = rehearse(tmp_path, write(tmp_path / "one", step, init, CLASSES), "pytorch", "criteo1tb")
    assert done.returncode == 1
    assert record["failed"] == stage
    assert why in record["why"]


@NIGHTLY
def test_an_evaluation_that_fails_is_a_sentence(tmp_path):
    """The parameters are there, and the model cannot be evaluated with them."""
    step = "if global_step == 1: params.forward = None"
    done, record = rehearse(tmp_path, write(tmp_path / "one", step), "pytorch", "criteo1tb")
    assert (done.returncode, record["failed"]) == (1, "evaluation")
    assert record["why"]


def test_a_mistake_is_said_before_anything_starts(tmp_path):
    done, record = rehearse(tmp_path, "no_such_submission", "pytorch")
    assert (done.returncode, record) == (2, None)
    assert not (tmp_path / "out").exists()


def test_what_is_not_a_rehearsals_stays(tmp_path):
    mine = tmp_path / "out" / "trial" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.touch()
    done, record = rehearse(tmp_path, "nadamw", "pytorch")
    assert (done.returncode, record) == (2, None)
    assert mine.exists()
