"""DLRM-small in both frameworks against the reference implementation's numbers (tests/oracle/README.md)."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest

from algoperf.benchmark.facts import UsageError, replace
from algoperf.benchmark.registry import load_spec, variants
from tests import oracle
from tests.support.functional_models import EVAL, MODELS, TRAIN, nadamw_trajectory, relative_error
from tests.support.nightly import of_bases

ORACLE_ROWS = {"model": {"vocab_size": 65_536}}
SPEC = replace(load_spec("criteo1tb"), ORACLE_ROWS)
SMALL = {"model": dict(vocab_size=64, embed_dim=8, bottom_mlp=(8, 8), top_mlp=(8, 8))}
NUMBERS = oracle.numbers("criteo1tb")
ARRAYS = oracle.arrays("criteo1tb")


@pytest.fixture(scope="module")
def batch():
    batch = oracle.criteo_batch(NUMBERS["batch_size"])
    assert np.array_equal(batch["inputs"].reshape(-1)[::7], ARRAYS["batch/inputs"])
    return batch


@pytest.fixture(scope="module", params=MODELS)
def run(request, batch):
    """The model with the oracle's weights: itself, its weights, and one pass of training."""
    model = MODELS[request.param](SPEC)
    tensors = oracle.canonical_weights(SPEC, model.shapes())
    return SimpleNamespace(model=model, tensors=tensors, first=model.train(tensors, batch))


def test_logits_of_evaluation_agree_with_the_reference(run, batch):
    logits = run.model.logits(run.tensors, batch, EVAL)
    assert relative_error(logits, ARRAYS["eval/logits"]) < 1e-5


def test_training_agrees_with_the_reference(run):
    assert relative_error(run.first.logits, ARRAYS["train/logits"]) < 1e-5
    assert run.first.mean_loss == pytest.approx(float(ARRAYS["mean_loss"]), rel=1e-5)


def test_gradients_agree_with_the_reference(run):
    errors = oracle.gradient_errors(SPEC, run.first.gradients)
    assert errors.norms.max() < 1e-5
    assert errors.probes.max() < 1e-5


def test_nadamw_follows_the_reference(run):
    expected = NUMBERS["trajectory"]
    batch = oracle.criteo_batch(expected["batch_size"])
    trajectory = nadamw_trajectory(run.model, run.tensors, batch, expected["hparams"], num_steps=5)
    # The loss passes 91 on the way, which magnifies rounding errors.
    assert trajectory.losses == pytest.approx(expected["losses"][:5], rel=2e-4)
    assert trajectory.gradient_norms == pytest.approx(expected["grad_norms"][:5], rel=1e-3)


@pytest.mark.parametrize("framework", MODELS)
@pytest.mark.parametrize("name", of_bases(["criteo1tb", *variants("criteo1tb")]))
def test_dropout_is_on_the_output_of_the_last_hidden_layer(name, framework):
    """All values dropped is as if that layer, to whose output its input may be added, gave zeros."""
    model = MODELS[framework](replace(load_spec(name), SMALL), np.float64)
    tensors = model.initial(seed=0)
    silenced = {
        parameter: np.zeros_like(array) if parameter.startswith("top_mlp.1.") else array
        for parameter, array in tensors.items()
    }
    batch = oracle.criteo_batch(4)
    all_dropped = dataclasses.replace(TRAIN, dropout_rate=1.0)
    expected = model.logits(silenced, batch, EVAL)
    np.testing.assert_allclose(model.logits(tensors, batch, all_dropped), expected, rtol=1e-6)
    assert relative_error(model.logits(tensors, batch, EVAL), expected) > 1e-3


@pytest.mark.parametrize("framework", MODELS)
def test_ids_are_taken_modulo_the_size_of_the_table(framework):
    model = MODELS[framework](replace(load_spec("criteo1tb"), SMALL))
    tensors = model.initial(seed=0)
    inputs = oracle.criteo_batch(4)["inputs"]
    wrapped = np.concatenate([inputs[:, :13], inputs[:, 13:] % 64], axis=1)
    logits = [model.logits(tensors, {"inputs": each}, EVAL) for each in (inputs, wrapped)]
    np.testing.assert_array_equal(*logits)


@pytest.mark.parametrize("framework", MODELS)
@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (dict(norm="batch"), "there is no norm 'batch'; the choices are none, layer."),
        (dict(interaction="outer"), "there is no interaction 'outer'; the choices are dot, concat."),
        (dict(embed_dim=16), "the dot interaction needs embed_dim, 16, to equal the last of bottom_mlp, 8."),
        (dict(top_mlp=(8, 4), skip="add"), "skip 'add' needs layers of one width; the widths of top_mlp are [8, 4]."),
    ],
)
def test_impossible_models_are_refused(framework, model, sentence):
    with pytest.raises(UsageError, match=re.escape(sentence)):
        MODELS[framework](replace(replace(load_spec("criteo1tb"), SMALL), {"model": model}))
