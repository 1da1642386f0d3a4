"""Submissions written for the official v0.6 API, of every kind that people have published, through the real loop.

Each folder of tests/data/submissions/ is one kind. A run that is interrupted, after an evaluation and between two, and
goes on is the uninterrupted one bit by bit: whatever a submission keeps in its optimizer state comes back.
"""

import json

import pytest

from algoperf.benchmark.identity import make_trial
from algoperf.machine.interruption import InterruptionError
from algoperf.submission.loading import load
from algoperf.trial import session, setup
from tests.conftest import REPOSITORY
from tests.trial.test_session import StopsAfter, Ticks, run, ticking, without_times

SUBMISSIONS = REPOSITORY / "tests" / "data" / "submissions"
FRAMEWORK = {
    "accumulating": "pytorch",
    "baseline": "pytorch",
    "jax_baseline": "jax",
    "jax_offloading": "jax",
    "objects": "pytorch",
    "sam": "pytorch",
    "swapped_average": "pytorch",
}
STEPS = 8


def test_none_is_left_out():
    assert set(FRAMEWORK) == {path.parent.name for path in SUBMISSIONS.glob("*/submission.py")}


def set_up(name, out, data_dir, max_steps=STEPS):
    has_space = (SUBMISSIONS / name / "tuning_search_space.json").exists()
    identity = make_trial(
        *("mini", "external" if has_space else "self", str(SUBMISSIONS / name)), FRAMEWORK[name], "criteo1tb", 0, 1
    )
    return setup.set_up(identity, out, data_dir, max_steps)


@pytest.mark.parametrize("name", FRAMEWORK)
def test_it_runs_and_goes_on_bit_by_bit(name, tmp_path, data_dir):
    whole = run(set_up(name, tmp_path / "whole", data_dir))
    assert [row["global_step"] for row in whole] == ["1", str(STEPS)]
    assert float(whole[-1]["train/loss"]) < float(whole[0]["train/loss"])
    out = tmp_path / "interrupted"
    assert run(set_up(name, out, data_dir), killed_after=1) is None
    with pytest.raises(InterruptionError, match="step 5"):
        session.execute(ticking(set_up(name, out, data_dir)), lambda state: None, now=Ticks(), watch=StopsAfter(4))
    resumed = run(set_up(name, out, data_dir))
    assert without_times(resumed) == without_times(whole)
    result = json.loads((out / "result.json").read_text())
    assert (result["status"], result["preemptions"], result["flags"]) == ("budget_exhausted", 2, [])
    if (tmp_path / "whole" / "measurements.csv").exists():
        assert (out / "measurements.csv").read_text() == (tmp_path / "whole" / "measurements.csv").read_text()


def test_train_state_is_passed_where_the_signature_has_it():
    assert load(SUBMISSIONS / "baseline" / "submission.py").takes_train_state
    assert not load(SUBMISSIONS / "sam" / "submission.py").takes_train_state
