"""The U-Net in both frameworks against the reference implementation's numbers (tests/oracle/README.md)."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest

from algoperf.benchmark.facts import UsageError, replace
from algoperf.benchmark.registry import load_spec
from tests import oracle
from tests.support.functional_models import EVAL, MODELS, TRAIN, disturbed, nadamw_trajectory, relative_error
from tests.support.nightly import FULL_SIZE, TWINS

SPEC = load_spec("fastmri")
SMALL = {"model": dict(num_channels=4, num_pool_layers=2)}
NUMBERS = oracle.numbers("fastmri")
ARRAYS = oracle.arrays("fastmri")


@pytest.fixture(scope="module")
def batch():
    batch = oracle.fastmri_batch(NUMBERS["batch_size"], NUMBERS["size"])
    for name in ("inputs", "targets"):
        assert np.array_equal(batch[name].reshape(-1)[::97], ARRAYS[f"batch/{name}"])
    for name in ("mean", "std", "volume_max"):
        assert np.array_equal(batch[name], ARRAYS[f"batch/{name}"])
    return batch


@pytest.fixture(scope="module", params=FULL_SIZE)
def run(request, batch):
    """The model with the oracle's weights: itself, its weights, and one pass of training."""
    model = MODELS[request.param](SPEC)
    tensors = oracle.canonical_weights(SPEC, model.shapes())
    return SimpleNamespace(model=model, tensors=tensors, first=model.train(tensors, batch))


def test_outputs_of_evaluation_agree_with_the_reference(run, batch):
    outputs = run.model.logits(run.tensors, batch, EVAL)
    assert outputs.shape == batch["inputs"].shape
    assert relative_error(outputs.reshape(-1)[::7], ARRAYS["eval/logits"]) < 1e-5


def test_training_agrees_with_the_reference(run):
    assert relative_error(run.first.logits.reshape(-1)[::7], ARRAYS["train/logits"]) < 1e-5
    assert run.first.mean_loss == pytest.approx(float(ARRAYS["mean_loss"]), rel=1e-5)


def test_gradients_agree_with_the_reference(run):
    # Ill-conditioned by the kinks of loss and activation: the two sides of the reference differ by 3e-3.
    errors = oracle.gradient_errors(SPEC, run.first.gradients)
    assert errors.norms.max() < 2e-3
    assert errors.probes.max() < 2e-3


def test_nadamw_follows_the_reference(run):
    expected = NUMBERS["trajectory"]
    batch = oracle.fastmri_batch(expected["batch_size"], expected["size"])
    trajectory = nadamw_trajectory(run.model, run.tensors, batch, expected["hparams"], num_steps=4)
    assert trajectory.losses == pytest.approx(expected["losses"][:4], rel=5e-4)
    assert trajectory.gradient_norms == pytest.approx(expected["grad_norms"][:4], rel=5e-3)


@pytest.mark.parametrize("framework", TWINS)
def test_of_dropped_channels_the_heads_bias_remains(framework):
    model = MODELS[framework](replace(SPEC, SMALL), np.float64)
    tensors = disturbed(model.initial(seed=0)) | {"head.bias": np.float32([0.25])}
    batch = oracle.fastmri_batch(2, 16)
    outputs = model.logits(tensors, batch, dataclasses.replace(TRAIN, dropout_rate=1.0))
    np.testing.assert_array_equal(outputs, np.full((2, 16, 16), 0.25))


@pytest.mark.parametrize("framework", MODELS)
def test_impossible_models_and_images_are_refused(framework):
    for model, sentence in (
        (dict(norm="batch"), "there is no norm 'batch'; the choices are instance, layer."),
        (dict(activation="relu"), "there is no activation 'relu'; the choices are leaky_relu, tanh."),
    ):
        with pytest.raises(UsageError, match=re.escape(sentence)):
            MODELS[framework](replace(SPEC, {"model": model}))
    model = MODELS[framework](replace(SPEC, SMALL))
    with pytest.raises(UsageError, match=r"18 x 16 .* multiples of 4"):
        model.logits(model.initial(seed=0), {"inputs": np.zeros((1, 18, 16), np.float32)}, EVAL)
