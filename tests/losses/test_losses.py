"""The losses of both frameworks against plain NumPy, with masks and label smoothing; CTC's in test_losses_ctc.py."""

import importlib

import jax
import numpy as np
import pytest

from algoperf.benchmark.facts import FRAMEWORKS
from algoperf.benchmark.registry import load_spec
from tests import oracle

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(6, 5)).astype(np.float32)
CLASSES = np.array([0, 3, 4, 1, 1, 2])
MASK = np.array([1, 1, 0, 1, 0, 1], np.float32)


def call(framework, loss, labels, logits, mask=None, label_smoothing=0.0):
    function = importlib.import_module(f"algoperf.losses.{framework}").LOSSES[loss]
    arguments = (labels, logits, mask)
    if framework == "pytorch":
        arguments = jax.tree.map(importlib.import_module("torch").from_numpy, arguments)
    return {name: np.asarray(value) for name, value in function(*arguments, label_smoothing=label_smoothing).items()}


def softmax_cross_entropy(probabilities, logits):
    logits = logits.astype(np.float64)
    return -(probabilities * (logits - np.log(np.exp(logits).sum(-1, keepdims=True)))).sum(-1)


def sigmoid_cross_entropy(labels, logits):
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return -(labels * np.log(p) + (1 - labels) * np.log1p(-p))


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("dense", [False, True], ids=["classes", "probabilities"])
def test_softmax_cross_entropy(framework, label_smoothing, mask, dense):
    one_hot = np.eye(5, dtype=np.float32)[CLASSES]
    labels = 0.7 * one_hot + 0.3 * np.roll(one_hot, 1, axis=0) if dense else CLASSES
    probabilities = (labels if dense else one_hot) * (1 - label_smoothing) + label_smoothing / 5
    expected = softmax_cross_entropy(probabilities, LOGITS) * (1 if mask is None else mask)
    found = call(framework, "softmax_cross_entropy", labels, LOGITS, mask, label_smoothing)
    np.testing.assert_allclose(found["per_example"], expected, rtol=1e-5, atol=1e-6)
    assert found["summed"] == pytest.approx(expected.sum(), rel=1e-5)
    assert found["n_valid_examples"] == (6 if mask is None else 4)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
def test_sigmoid_cross_entropy_does_not_smooth(framework, mask):
    labels = np.array([0, 1, 1, 0, 1, 0], np.float32)
    logits = LOGITS[:, :1] * 20
    expected = sigmoid_cross_entropy(labels, logits[:, 0]) * (1 if mask is None else mask)
    found = call(framework, "sigmoid_cross_entropy", labels, logits, mask, label_smoothing=0.3)
    np.testing.assert_allclose(found["per_example"], expected, rtol=1e-4, atol=1e-6)
    assert found["n_valid_examples"] == (6 if mask is None else 4)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
def test_mean_absolute_error_is_the_mean_over_an_images_pixels(framework, mask):
    labels, logits = RNG.normal(size=(2, 6, 4, 3)).astype(np.float32)
    expected = np.abs(logits.astype(np.float64) - labels).mean((1, 2)) * (1 if mask is None else mask)
    found = call(framework, "mean_absolute_error", labels, logits, mask, label_smoothing=0.3)
    np.testing.assert_allclose(found["per_example"], expected, rtol=1e-6)
    assert found["summed"] == pytest.approx(expected.sum(), rel=1e-6)
    assert found["n_valid_examples"] == (6 if mask is None else 4)


TOKENS = RNG.integers(0, 5, size=(3, 4))
TOKEN_LOGITS = 3 * RNG.normal(size=(3, 4, 5)).astype(np.float32)
TOKEN_MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], np.float32)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize(
    ("mask", "count"), [(None, 12), (TOKEN_MASK, 6), (np.float32([1, 0, 1]), 8)], ids=["whole", "tokens", "rows"]
)
def test_every_token_has_a_softmax_cross_entropy(framework, label_smoothing, mask, count):
    probabilities = np.eye(5)[TOKENS] * (1 - label_smoothing) + label_smoothing / 5
    weights = np.ones(1) if mask is None else mask
    expected = softmax_cross_entropy(probabilities, TOKEN_LOGITS) * (weights if weights.ndim == 2 else weights[:, None])
    found = call(framework, "softmax_cross_entropy", TOKENS, TOKEN_LOGITS, mask, label_smoothing)
    np.testing.assert_allclose(found["per_example"], expected, rtol=1e-5, atol=1e-6)
    assert found["summed"] == pytest.approx(expected.sum(), rel=1e-5)
    assert found["n_valid_examples"] == count


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("mask", "count"), [(None, 12), (TOKEN_MASK, 6)], ids=["whole", "masked"])
def test_every_label_of_many_tasks_has_a_sigmoid_cross_entropy(framework, label_smoothing, mask, count):
    """Smoothed as if the tasks were classes: each label comes closer to 1 / number of tasks, here 4."""
    labels, logits = (TOKENS > 2).astype(np.float32), TOKEN_LOGITS[..., 0]
    smoothed = (1 - label_smoothing) * labels + label_smoothing / 4
    expected = sigmoid_cross_entropy(smoothed, logits) * (1 if mask is None else mask)
    found = call(framework, "multitask_sigmoid_cross_entropy", labels, logits, mask, label_smoothing)
    np.testing.assert_allclose(found["per_example"], expected, rtol=1e-4, atol=1e-6)
    assert found["summed"] == pytest.approx(expected.sum(), rel=1e-5)
    assert found["n_valid_examples"] == count


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_predictions(framework):
    predict = importlib.import_module(f"algoperf.losses.{framework}").PREDICTIONS
    paddings = np.float32([[0, 0, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]])
    logits = (TOKEN_LOGITS, paddings)
    if framework == "pytorch":
        logits = tuple(map(importlib.import_module("torch").from_numpy, logits))
    likeliest = TOKEN_LOGITS.argmax(-1)
    np.testing.assert_array_equal(predict["softmax_cross_entropy"](logits[0]), likeliest)
    np.testing.assert_array_equal(predict["multitask_sigmoid_cross_entropy"](logits[0]), TOKEN_LOGITS > 0)
    np.testing.assert_array_equal(predict["ctc_loss"](logits), np.where(paddings == 1, 0, likeliest))


BATCHES = {
    "criteo1tb": oracle.criteo_batch,
    "imagenet_resnet": oracle.imagenet_batch,
    "imagenet_vit": oracle.imagenet_batch,
    "ogbg": oracle.ogbg_batch,
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_the_references_logits_have_its_losses(framework, name, label_smoothing):
    arrays, batch = oracle.arrays(name), BATCHES[name](oracle.numbers(name)["batch_size"])
    arguments = (batch["targets"], arrays["eval/logits"], batch["weights"], label_smoothing)
    for key, value in call(framework, load_spec(name).loss_name, *arguments).items():
        expected = arrays[f"eval/loss_ls{label_smoothing}/{key}"]
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6, err_msg=key)
