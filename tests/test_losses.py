"""The losses of both frameworks against plain NumPy, with masks and label smoothing."""

import importlib

import numpy as np
import pytest

from algoperf.registry import load_spec
from algoperf.spec import FRAMEWORKS, LossType
from tests import oracle

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(6, 5)).astype(np.float32)
CLASSES = np.array([0, 3, 4, 1, 1, 2])
MASK = np.array([1, 1, 0, 1, 0, 1], np.float32)


def call(framework, loss, labels, logits, mask=None, label_smoothing=0.0):
    function = importlib.import_module(f"algoperf.losses.{framework}").LOSSES[loss]
    convert = importlib.import_module("torch").from_numpy if framework == "pytorch" else lambda array: array
    arguments = (convert(labels), convert(logits), None if mask is None else convert(mask))
    return {name: np.asarray(value) for name, value in function(*arguments, label_smoothing=label_smoothing).items()}


def softmax_cross_entropy(probabilities, logits):
    logits = logits.astype(np.float64)
    return -(probabilities * (logits - np.log(np.exp(logits).sum(1, keepdims=True)))).sum(1)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("dense", [False, True], ids=["classes", "probabilities"])
def test_softmax_cross_entropy(framework, label_smoothing, mask, dense):
    one_hot = np.eye(5, dtype=np.float32)[CLASSES]
    labels = 0.7 * one_hot + 0.3 * np.roll(one_hot, 1, axis=0) if dense else CLASSES
    probabilities = (labels if dense else one_hot) * (1 - label_smoothing) + label_smoothing / 5
    expected = softmax_cross_entropy(probabilities, LOGITS) * (1 if mask is None else mask)
    found = call(framework, LossType.SOFTMAX_CROSS_ENTROPY, labels, LOGITS, mask, label_smoothing)
    np.testing.assert_allclose(found["per_example"], expected, rtol=1e-5, atol=1e-6)
    assert found["summed"] == pytest.approx(expected.sum(), rel=1e-5)
    assert found["n_valid_examples"] == (6 if mask is None else 4)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
def test_sigmoid_cross_entropy_does_not_smooth(framework, mask):
    labels = np.array([0, 1, 1, 0, 1, 0], np.float32)
    logits = LOGITS[:, :1] * 20
    p = 1 / (1 + np.exp(-logits[:, 0].astype(np.float64)))
    expected = -(labels * np.log(p) + (1 - labels) * np.log1p(-p)) * (1 if mask is None else mask)
    found = call(framework, LossType.SIGMOID_CROSS_ENTROPY, labels, logits, mask, label_smoothing=0.3)
    np.testing.assert_allclose(found["per_example"], expected, rtol=1e-4, atol=1e-6)
    assert found["n_valid_examples"] == (6 if mask is None else 4)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
def test_mean_absolute_error_is_the_mean_over_an_images_pixels(framework, mask):
    labels, logits = RNG.normal(size=(2, 6, 4, 3)).astype(np.float32)
    expected = np.abs(logits.astype(np.float64) - labels).mean((1, 2)) * (1 if mask is None else mask)
    found = call(framework, LossType.MEAN_ABSOLUTE_ERROR, labels, logits, mask, label_smoothing=0.3)
    np.testing.assert_allclose(found["per_example"], expected, rtol=1e-6)
    assert found["summed"] == pytest.approx(expected.sum(), rel=1e-6)
    assert found["n_valid_examples"] == (6 if mask is None else 4)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", ["criteo1tb", "imagenet_resnet", "imagenet_vit"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_the_references_logits_have_its_losses(framework, name, label_smoothing):
    size, arrays = oracle.numbers(name)["batch_size"], oracle.arrays(name)
    batch = oracle.criteo_batch(size) if name == "criteo1tb" else oracle.imagenet_batch(size)
    arguments = (batch["targets"], arrays["eval/logits"], batch["weights"], label_smoothing)
    for key, value in call(framework, load_spec(name).loss, *arguments).items():
        expected = arrays[f"eval/loss_ls{label_smoothing}/{key}"]
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6, err_msg=key)
