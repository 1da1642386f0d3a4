"""The metrics of an evaluation: from the rows of all batches of all processes, over the valid examples only."""

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import REPOSITORY

ORACLE = np.load(REPOSITORY / "tests/data/datasets/fastmri.npz")


def result(name, outputs, batches):
    metric = importlib.import_module(f"workloads.metrics.{name}")
    assert all(set(output) >= metric.NEEDS for output in outputs)
    rows = [metric.statistics(output, batch, source=None) for output, batch in zip(outputs, batches, strict=True)]
    assert all(row.ndim == 2 and row.dtype == np.float64 for row in rows)
    return metric.result(np.concatenate(rows))


def test_accuracy_counts_valid_examples_only():
    batch = {"targets": np.array([1, 1, 1]), "weights": np.array([1.0, 1.0, 0.0])}
    assert result("accuracy", [{"predictions": np.array([1, 0, 1])}], [batch]) == 0.5


def test_accuracy_counts_every_label_of_an_example():
    """Tokens, or tasks: there may be several, each with a weight of its own."""
    batch = {"targets": np.array([[1, 2], [3, 0]]), "weights": np.array([[1.0, 1.0], [1.0, 0.0]])}
    assert result("accuracy", [{"predictions": np.array([[1, 2], [4, 0]])}], [batch]) == pytest.approx(2 / 3)
    batch["targets"] = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert result("accuracy", [{"predictions": np.array([[True, True], [False, False]])}], [batch]) == pytest.approx(
        2 / 3
    )


def test_loss_is_divided_by_what_was_valid():
    outputs = [
        {"per_example": np.array([1.0, 3.0]), "n_valid_examples": np.float32(2)},
        {"per_example": np.array([8.0, 0.0]), "n_valid_examples": np.float32(1)},
    ]
    assert result("loss", outputs, [{}, {}]) == 4.0
    assert result("ctc_loss", outputs, [{}, {}]) == 4.0


def test_sums_of_many_examples_are_exact():
    """Float32 would stop counting at 2^24."""
    weights = np.ones(1_000, np.float32)
    batch = {"targets": np.zeros(1_000, int), "weights": weights}
    metric = importlib.import_module("workloads.metrics.accuracy")
    row = metric.statistics({"predictions": np.arange(1_000) % 2}, batch, source=None)
    assert (20_001 * row).tolist() == [[20_001 * 500.0, 20_001 * 1_000.0]]
    assert metric.result(np.repeat(row, 20_001, axis=0)) == 0.5


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 100))
def test_the_result_does_not_depend_on_the_batches(count, batch_size, seed):
    rng = np.random.default_rng(seed)
    predictions, targets = rng.integers(0, 5, (2, count))
    weights = np.ones(count)
    expected = (predictions == targets).mean()
    slices = [slice(start, start + batch_size) for start in range(0, count, batch_size)]
    batches = [{"targets": targets[part], "weights": weights[part]} for part in slices]
    found = result("accuracy", [{"predictions": predictions[part]} for part in slices], batches)
    assert found == pytest.approx(expected)


def images(count, seed=0, size=20):
    """Outputs and batch of `count` images that were reconstructed more and less well."""
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=(count, size, size)).astype(np.float32)
    errors = rng.random((count, 1, 1), np.float32) * rng.normal(size=targets.shape).astype(np.float32)
    numbers = {name: rng.uniform(0.1, 2, count).astype(np.float32) for name in ("mean", "std", "volume_max")}
    batch = {"targets": targets, **numbers, "weights": np.ones(count, np.float32)}
    return {"logits": targets + errors}, batch


def ssim_by_definition(x, y, data_range):
    """Float64, a window at a time."""
    values = []
    for top, left in np.ndindex(x.shape[0] - 6, x.shape[1] - 6):
        a, b = (image[top : top + 7, left : left + 7].ravel() for image in (x, y))
        (variance_a, covariance), (_, variance_b) = np.cov(a, b)
        c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
        luminance = (2 * a.mean() * b.mean() + c1) / (a.mean() ** 2 + b.mean() ** 2 + c1)
        values.append(luminance * (2 * covariance + c2) / (variance_a + variance_b + c2))
    return np.mean(values)


def test_ssim_is_the_reference_s():
    """Images that are not square, and a volume whose largest pixel is not known."""
    batch = {name: ORACLE[f"ssim_{name}"] for name in ("targets", "mean", "std", "volume_max")}
    assert 0 in batch["volume_max"]
    for number, expected in enumerate(ORACLE["ssim_jax"]):
        one = {name: values[number : number + 1] for name, values in batch.items()} | {"weights": np.ones(1)}
        outputs = {"logits": ORACLE["ssim_logits"][number : number + 1]}
        assert result("ssim", [outputs], [one]) == pytest.approx(expected, abs=2e-7)


@pytest.mark.parametrize("mean", [0, 100])
def test_ssim_is_its_definition_also_far_from_zero(mean):
    outputs, batch = images(4)
    batch["mean"] += np.float32(mean)
    expected = []
    for number in range(4):
        mean, std, volume_max = (float(batch[name][number]) for name in ("mean", "std", "volume_max"))
        x, y = (array[number].astype(np.float64) * std + mean for array in (outputs["logits"], batch["targets"]))
        expected.append(ssim_by_definition(x, y, volume_max))
    assert result("ssim", [outputs], [batch]) == pytest.approx(np.mean(expected), abs=1e-6)


def test_ssim_of_an_image_with_itself_is_one():
    _, batch = images(3)
    assert result("ssim", [{"logits": batch["targets"]}], [batch]) == pytest.approx(1, abs=1e-6)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 100))
def test_ssim_does_not_depend_on_the_batches_nor_on_padding(count, batch_size, seed):
    outputs, batch = images(count, seed, size=8)
    whole = result("ssim", [outputs], [batch])
    padded = [np.minimum(np.arange(start, start + batch_size), count) for start in range(0, count, batch_size)]
    outputs = {"logits": np.append(outputs["logits"], np.full((1, 8, 8), 5, np.float32), axis=0)}
    batch = {name: np.append(values, values[:1], axis=0) for name, values in batch.items()}
    batch["weights"][count] = 0
    found = result(
        "ssim",
        [{"logits": outputs["logits"][part]} for part in padded],
        [{name: values[part] for name, values in batch.items()} for part in padded],
    )
    assert found == pytest.approx(whole, abs=1e-12)


def test_ssim_of_a_network_that_diverged_is_not_a_number():
    outputs, batch = images(2)
    outputs["logits"][0, 3, 3] = np.nan
    assert np.isnan(result("ssim", [outputs], [batch]))
