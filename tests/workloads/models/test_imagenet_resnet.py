"""ResNet-50 in both frameworks against the reference implementation's numbers (tests/oracle/README.md)."""

from types import SimpleNamespace

import numpy as np
import pytest

from algoperf.benchmark.registry import load_spec
from tests import oracle
from tests.support.functional_models import EVAL, MODELS, nadamw_trajectory, relative_error
from tests.support.nightly import LARGEST

SPEC = load_spec("imagenet_resnet")
NUMBERS = oracle.numbers("imagenet_resnet")
ARRAYS = oracle.arrays("imagenet_resnet")


@pytest.fixture(scope="module")
def batch():
    batch = oracle.imagenet_batch(NUMBERS["batch_size"])
    assert np.array_equal(batch["inputs"].reshape(-1)[:: 97 * 7], ARRAYS["batch/inputs"])
    return batch


@pytest.fixture(scope="module", params=LARGEST)
def run(request, batch):
    """The model with the oracle's weights: itself, its weights, and the first steps of its training."""
    model = MODELS[request.param](SPEC)
    tensors = oracle.canonical_weights(SPEC, model.shapes())
    trajectory = nadamw_trajectory(model, tensors, batch, NUMBERS["trajectory"]["hparams"], num_steps=3)
    return SimpleNamespace(model=model, tensors=tensors, trajectory=trajectory, first=trajectory.first)


def test_logits_of_evaluation_agree_with_the_reference(run, batch):
    logits = run.model.logits(run.tensors, batch, EVAL)
    assert relative_error(logits, ARRAYS["eval/logits"]) < 1e-5


def test_training_agrees_with_the_reference(run):
    assert relative_error(run.first.logits, ARRAYS["train/logits"]) < 5e-5
    assert run.first.mean_loss == pytest.approx(float(ARRAYS["mean_loss"]), rel=1e-5)


def test_gradients_agree_with_the_reference(run):
    # Some gradients are ill-conditioned in float32; test_models_variants.py compares the frameworks in float64.
    errors = oracle.gradient_errors(SPEC, run.first.gradients)
    for error in (errors.norms, errors.probes):
        assert error.max() < 1e-2
        assert np.median(error) < 1e-4


def test_running_statistics_after_a_step_agree_with_the_reference(run):
    expected = {name.removeprefix("bn_after/"): array for name, array in ARRAYS.items() if name.startswith("bn_after/")}
    assert set(expected) == set(run.first.statistics)
    for name, array in expected.items():
        np.testing.assert_allclose(run.first.statistics[name][::7], array, rtol=1e-4, atol=1e-6, err_msg=name)


def test_nadamw_follows_the_reference(run):
    expected = NUMBERS["trajectory"]
    assert run.trajectory.losses == pytest.approx(expected["losses"][:3], rel=5e-4)
    assert run.trajectory.gradient_norms == pytest.approx(expected["grad_norms"][:3], rel=5e-4)
