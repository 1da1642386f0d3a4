"""Every submission in every framework, and every workload in every framework, takes steps and learns."""

import dataclasses
import itertools
import json

import numpy as np
import pytest

from algoperf.benchmark.facts import FRAMEWORKS
from algoperf.benchmark.identity import make_trial
from algoperf.benchmark.protocol import PROTOCOLS
from algoperf.benchmark.registry import base_workloads
from algoperf.submission.loading import SUBMISSIONS, find, load
from algoperf.trial import session
from algoperf.trial.setup import set_up
from submissions.batch_sizes import BATCH_SIZES

NAMES = sorted(path.parent.name for path in SUBMISSIONS.glob("*/jax.py"))
STEPS = {
    "criteo1tb": 60,
    "fastmri": 8,
    "finewebedu_lm": 10,
    "imagenet_resnet": 10,
    "imagenet_vit": 15,
    "librispeech_conformer": 8,
    "librispeech_deepspeech": 8,
    "ogbg": 40,
    "wmt": 20,
}


def test_no_workload_is_left_out():
    assert tuple(STEPS) == PROTOCOLS["mini"].workloads


# What each workload's training step does is met by `test_baselines_jax.py` and `test_baselines_pytorch.py`, too.
QUICK = {("ogbg", "pytorch")}
LEARNING = pytest.mark.nightly("learning, each workload in each framework")
LEARNT = [pytest.param(*pair, marks=[] if pair in QUICK else LEARNING) for pair in itertools.product(STEPS, FRAMEWORKS)]


@pytest.mark.usefixtures("few_evaluated")
@pytest.mark.parametrize(("workload", "framework"), LEARNT)
def test_every_workload_is_learnt(framework, workload, tmp_path, data_dir):
    identity = make_trial("mini", "external", "nadamw", framework, workload, 0, 1)
    setup = set_up(identity, tmp_path, data_dir, STEPS[workload])
    setup = dataclasses.replace(setup, max_runtime=1_000.0)
    setup.workload.spec = dataclasses.replace(setup.workload.spec, eval_period=1_000.0)
    loss = "train/ctc_loss" if "ctc_loss" in setup.workload.spec.metrics else "train/loss"
    losses, compilations = [], set()

    def report(state):
        losses.append(state.evaluations[-1][loss])
        if framework == "jax":  # the kit's optimizer state is the state and the compiled step
            compilations.add(state.optimizer_state[1]._cache_size())

    result = session.execute(setup, report)
    assert compilations == ({1} if framework == "jax" else set())
    assert result["status"] in ("reached", "budget_exhausted")
    assert result["global_step"] == STEPS[workload]
    assert np.isfinite(losses).all()
    if workload != "imagenet_resnet":  # its running statistics need more steps than these
        assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_baseline_is_short(name):
    for framework in FRAMEWORKS:
        assert len((SUBMISSIONS / name / f"{framework}.py").read_text().splitlines()) <= 40


SELF_TUNED = sorted(path.parent.name for path in SUBMISSIONS.glob("*/self_tuning.json"))


@pytest.mark.parametrize("name", SELF_TUNED)
def test_self_tuning_gets_its_point(name, tmp_path, data_dir):
    identity = make_trial("mini", "self", name, "pytorch", "criteo1tb", 0, 1)
    setup = set_up(identity, tmp_path, data_dir, 1)
    assert setup.point == json.loads((SUBMISSIONS / name / "self_tuning.json").read_text())
    assert setup.max_runtime == 1.5 * setup.workload.max_allowed_runtime_sec
    assert session.execute(setup, lambda state: None)["status"] == "budget_exhausted"


OFFICIAL_FUNCTIONS = """
import torch

def get_batch_size(workload_name):
    return 256 * 64

def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    return {"optimizer": torch.optim.SGD(model_params.parameters(), lr=hyperparameters.lr)}

def update_params(workload, current_param_container, current_params_types, model_state, hyperparameters, batch,
                  loss_type, optimizer_state, eval_results, global_step, rng, train_state=None):
    assert train_state["is_time_remaining"]
    if global_step == 3:
        FAIL
    return optimizer_state, current_param_container, None

def data_selection(workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters,
                   global_step, rng):
    return next(input_queue)
"""


@pytest.fixture
def broken(tmp_path):
    """A submission of five plain functions that does `what` at its fourth step."""

    def make(what):
        folder = tmp_path / "broken"
        folder.mkdir(exist_ok=True)
        (folder / "submission.py").write_text(OFFICIAL_FUNCTIONS.replace("FAIL", what))
        (folder / "search_space.json").write_text('[{"lr": 0.1}]')
        return folder

    return make


@pytest.mark.parametrize(
    ("what", "status", "logged"),
    [
        ('raise ValueError("my own fault")', "submission_error", "my own fault"),
        ("torch.empty(2**50)", "out_of_memory", "allocate memory"),
        (
            "from algoperf.spec import TrainingCompleteError; raise TrainingCompleteError",
            "budget_exhausted",
            None,
        ),
    ],
)
def test_what_a_submission_does_is_a_result(broken, tmp_path, data_dir, what, status, logged):
    identity = make_trial("mini", "external", str(broken(what)), "pytorch", "criteo1tb", 0, 1)
    out = tmp_path / "trial_1"
    result = session.execute(set_up(identity, out, data_dir), lambda state: None)
    assert result == json.loads((out / "result.json").read_text())
    assert result["status"] == status
    assert result["label"] == "broken_pytorch"
    if logged:
        assert logged in (out / "error.log").read_text()
        assert "submission.py" in (out / "error.log").read_text()
    else:
        assert not (out / "error.log").exists()


def test_the_kit_knows_a_batch_size_for_every_workload():
    assert set(base_workloads()) <= set(BATCH_SIZES)
    assert load(find("nadamw", "jax")).get_batch_size("wmt") == 128
