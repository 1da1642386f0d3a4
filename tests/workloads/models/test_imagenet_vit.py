"""ViT-S/16 in both frameworks against the reference implementation's numbers (tests/oracle/README.md)."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest

from algoperf.benchmark.facts import UsageError, replace
from algoperf.benchmark.registry import load_spec
from tests import oracle
from tests.support.functional_models import EVAL, MODELS, TRAIN, disturbed, nadamw_trajectory, relative_error
from tests.support.nightly import LARGEST, TWINS, of_bases
from workloads.imagenet_vit.positions import sincos_2d

SPEC = load_spec("imagenet_vit")
SMALL = dict(patch_size=8, width=8, depth=2, mlp_dim=16, num_heads=2, num_classes=3)
NUMBERS = oracle.numbers("imagenet_vit")
ARRAYS = oracle.arrays("imagenet_vit")


@pytest.fixture(scope="module")
def batch():
    batch = oracle.imagenet_batch(NUMBERS["batch_size"])
    assert np.array_equal(batch["inputs"].reshape(-1)[:: 97 * 7], ARRAYS["batch/inputs"])
    assert np.array_equal(batch["targets"], ARRAYS["batch/targets"])
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
    assert relative_error(run.first.logits, ARRAYS["train/logits"]) < 1e-5
    assert run.first.mean_loss == pytest.approx(float(ARRAYS["mean_loss"]), rel=1e-5)


def test_gradients_agree_with_the_reference(run):
    errors = oracle.gradient_errors(SPEC, run.first.gradients)
    assert errors.norms.max() < 1e-4
    assert errors.probes.max() < 1e-4


def test_nadamw_follows_the_reference(run):
    expected = NUMBERS["trajectory"]
    assert run.trajectory.losses == pytest.approx(expected["losses"][:3], rel=1e-5)
    assert run.trajectory.gradient_norms == pytest.approx(expected["grad_norms"][:3], rel=1e-4)


@pytest.mark.parametrize("framework", TWINS)
@pytest.mark.parametrize("name", of_bases(["imagenet_vit", "imagenet_vit_glu"]))
def test_of_dropped_values_the_last_norms_bias_remains(name, framework):
    """Dropped are the patches with their positions, and all that the blocks would add to them."""
    model = MODELS[framework](replace(load_spec(name), {"model": SMALL}), np.float64)
    tensors = disturbed(model.initial(seed=0))
    batch = {"inputs": oracle.imagenet_batch(2)["inputs"][:, :16, :24]}
    hidden = np.tanh(tensors["pre_logits.weight"] @ tensors["norm.bias"] + tensors["pre_logits.bias"])
    expected = tensors["head.weight"] @ hidden + tensors["head.bias"]
    logits = model.logits(tensors, batch, dataclasses.replace(TRAIN, dropout_rate=1.0))
    np.testing.assert_allclose(logits, [expected, expected], rtol=1e-5)
    assert relative_error(model.logits(tensors, batch, EVAL), [expected, expected]) > 1e-3


@pytest.mark.parametrize("framework", MODELS)
@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (dict(norm="batch"), "there is no norm 'batch'; the choices are pre, post."),
        (dict(pool="max"), "there is no pool 'max'; the choices are gap, map."),
        (dict(gate="sigmoid"), "there is no gate 'sigmoid'; the choices are none, linear."),
    ],
)
def test_impossible_models_are_refused(framework, model, sentence):
    with pytest.raises(UsageError, match=re.escape(sentence)):
        MODELS[framework](replace(SPEC, {"model": {**SMALL, **model}}))


@pytest.mark.parametrize("width", [0, 4, 10])
def test_a_width_without_room_for_two_frequencies_of_sine_and_cosine_is_refused(width):
    sentence = f"the width of a ViT, {width}, must be a multiple of 4 and at least 8."
    with pytest.raises(UsageError, match=re.escape(sentence)):
        sincos_2d(2, 3, width)
