"""Submissions written for the official v0.6 API, of every kind that people have published, through the real loop.

Each folder of tests/data/submissions/ is one kind. A run that is interrupted between two evaluations
and goes on is the uninterrupted one bit by bit: whatever a submission keeps in its optimizer state comes back.
"""

import json

import pytest

from algoperf.benchmark.identity import make_trial
from algoperf.dry_run.check import check_one
from algoperf.machine.interruption import InterruptionError
from algoperf.submission.loading import find, load
from algoperf.trial import session, setup
from tests.conftest import REPOSITORY
from tests.trial.test_session import StopsAfter, Ticks, run, ticking, without_times

pytestmark = pytest.mark.usefixtures("few_evaluated")
SUBMISSIONS = REPOSITORY / "tests" / "data" / "submissions"
KINDS = (
    ("accumulating", "pytorch"),
    ("baseline", "pytorch"),
    ("both_frameworks", "jax"),
    ("both_frameworks", "pytorch"),
    ("jax_baseline", "jax"),
    ("jax_offloading", "jax"),
    ("laid_out", "pytorch"),
    ("laid_out_in_jax", "jax"),
    ("objects", "pytorch"),
    ("sam", "pytorch"),
    ("swapped_average", "pytorch"),
)
TWIN = ("both_frameworks", "jax")
STEPS = 8
# These are interrupted, and the others have a dry run; by day it is those in PyTorch. That every kind of state comes
# back in either framework is in tests/trial/test_resumption.py.
INTERRUPTED = (("both_frameworks", "pytorch"), ("laid_out_in_jax", "jax"), ("objects", "pytorch"))
NIGHTLY = pytest.mark.nightly("published kinds that are interrupted, and dry runs of the others")
LANDING = pytest.mark.landing("published kinds in JAX")


def later(kind, is_met):
    if not is_met:
        return NIGHTLY
    return LANDING if kind[1] == "jax" else []


# Whose requirements.txt pins another version than is installed, and whose points are taken from a file elsewhere.
PINNED = {TWIN: "optax==0.2.2", ("both_frameworks", "pytorch"): "torch==2.1.0"}
ELSEWHERE = {"hparams": [{"learning_rate": 0.005, "one_minus_beta1": 0.2, "limit": 1.0}]}


def test_none_is_left_out():
    found = {find(str(SUBMISSIONS / name), framework) for name, framework in KINDS}
    assert found == set(SUBMISSIONS.glob("**/submission.py"))


def ruleset(name):
    return "external" if (SUBMISSIONS / name / "tuning_search_space.json").exists() else "self"


def set_up(name, framework, out, data_dir, max_steps=STEPS):
    identity = make_trial("mini", ruleset(name), str(SUBMISSIONS / name), framework, "criteo1tb", 0, 1)
    search_space = out.with_name("elsewhere.json") if name == "both_frameworks" else None
    if search_space:
        search_space.write_text(json.dumps(ELSEWHERE))
    return setup.set_up(identity, out, data_dir, max_steps, search_space=search_space)


def assert_only_its_pin(name, framework, sentences):
    pin = PINNED.get((name, framework))
    assert [sentence.split(", ")[0] for sentence in sentences] == ([f"requirements.txt asks for {pin}"] if pin else [])


@pytest.mark.parametrize(
    ("name", "framework"),
    [pytest.param(*kind, marks=later(kind, kind in INTERRUPTED)) for kind in KINDS],
)
def test_it_runs_and_goes_on_bit_by_bit(name, framework, tmp_path, data_dir):
    whole = run(set_up(name, framework, tmp_path / "whole", data_dir))
    assert [row["global_step"] for row in whole] == ["1", str(STEPS)]
    assert float(whole[-1]["train/loss"]) < float(whole[0]["train/loss"])
    out = tmp_path / "interrupted"
    with pytest.raises(InterruptionError, match="step 4"):
        session.execute(
            ticking(set_up(name, framework, out, data_dir)), lambda state: None, now=Ticks(), watch=StopsAfter(4)
        )
    resumed = run(set_up(name, framework, out, data_dir))
    assert without_times(resumed) == without_times(whole)
    result = json.loads((out / "result.json").read_text())
    assert (result["status"], result["preemptions"]) == ("budget_exhausted", 1)
    assert {flag["rule"] for flag in result["flags"]} <= {"requirements"}
    assert_only_its_pin(name, framework, [flag["what"] for flag in result["flags"]])
    if name == "both_frameworks":
        assert result["hyperparameters"] == ELSEWHERE["hparams"][0]
    if (tmp_path / "whole" / "measurements.csv").exists():
        assert (out / "measurements.csv").read_text() == (tmp_path / "whole" / "measurements.csv").read_text()


@pytest.mark.nightly("published submissions that are killed after an evaluation")
@pytest.mark.parametrize(("name", "framework"), KINDS)
def test_it_is_killed_and_goes_on_bit_by_bit(name, framework, tmp_path, data_dir):
    whole = run(set_up(name, framework, tmp_path / "whole", data_dir))
    out = tmp_path / "killed"
    assert run(set_up(name, framework, out, data_dir), killed_after=1) is None
    assert without_times(run(set_up(name, framework, out, data_dir))) == without_times(whole)
    assert json.loads((out / "result.json").read_text())["preemptions"] == 1


@pytest.mark.parametrize(
    ("name", "framework"), [pytest.param(*kind, marks=later(kind, kind not in INTERRUPTED)) for kind in KINDS]
)
def test_a_dry_run_finds_no_more_than_its_pin(name, framework, data_dir):
    row = check_one(str(SUBMISSIONS / name), framework, "criteo1tb", ruleset(name), data_dir, lambda doing: None)
    assert row.outcome == "ok"
    assert_only_its_pin(name, framework, row.sentences)


@pytest.mark.landing("published kinds in JAX")
def test_what_stood_for_what_is_in_the_result(tmp_path, data_dir):
    run(set_up("both_frameworks", "jax", tmp_path, data_dir, max_steps=1))
    found = json.loads((tmp_path / "result.json").read_text())["stand_ins"]
    assert found == {
        "algorithmic_efficiency": "algoperf",
        "algoperf.random_utils": "algoperf.imports.official_modules.random_utils",
        "algoperf.sharding_utils": "algoperf.jax_sharding_utils",
        "jax.config": "jax.config",
        "jax.numpy.clip(a, a_min, a_max)": "jax.numpy.clip(arr, min, max)",
        "jax.random.KeyArray": "jax.Array",
        **{f"jax.tree_{name}": f"jax.tree_util.tree_{name}" for name in ("flatten", "leaves", "map", "unflatten")},
    }
    assert json.loads((tmp_path / "meta_data_0.json").read_text())["stand_ins"].items() <= found.items()


def test_train_state_is_passed_where_the_signature_has_it():
    assert load(SUBMISSIONS / "baseline" / "submission.py").takes_train_state
    assert not load(SUBMISSIONS / "sam" / "submission.py").takes_train_state
