"""The metrics of an evaluation: from the rows of all batches of all processes, over the valid examples only."""

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


def result(name, outputs, batches):
    metric = importlib.import_module(f"workloads.metrics.{name}")
    rows = [metric.statistics(output, batch) for output, batch in zip(outputs, batches, strict=True)]
    assert all(row.ndim == 2 and row.dtype == np.float64 for row in rows)
    return metric.result(np.concatenate(rows))


def test_accuracy_counts_valid_examples_only():
    logits = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    batch = {"targets": np.array([1, 1, 1]), "weights": np.array([1.0, 1.0, 0.0])}
    assert result("accuracy", [{"logits": logits}], [batch]) == 0.5


def test_loss_is_divided_by_what_was_valid():
    outputs = [
        {"per_example": np.array([1.0, 3.0]), "n_valid_examples": np.float32(2)},
        {"per_example": np.array([8.0, 0.0]), "n_valid_examples": np.float32(1)},
    ]
    assert result("loss", outputs, [{}, {}]) == 4.0


def test_sums_of_many_examples_are_exact():
    """Float32 would stop counting at 2^24."""
    weights = np.ones(1_000, np.float32)
    batch = {"targets": np.zeros(1_000, int), "weights": weights}
    metric = importlib.import_module("workloads.metrics.accuracy")
    row = metric.statistics({"logits": np.eye(2)[np.arange(1_000) % 2]}, batch)
    assert (20_001 * row).tolist() == [[20_001 * 500.0, 20_001 * 1_000.0]]
    assert metric.result(np.repeat(row, 20_001, axis=0)) == 0.5


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 100))
def test_the_result_does_not_depend_on_the_batches(count, batch_size, seed):
    rng = np.random.default_rng(seed)
    logits, targets = rng.normal(size=(count, 5)), rng.integers(0, 5, count)
    weights = np.ones(count)
    expected = (logits.argmax(1) == targets).mean()
    slices = [slice(start, start + batch_size) for start in range(0, count, batch_size)]
    batches = [{"targets": targets[part], "weights": weights[part]} for part in slices]
    found = result("accuracy", [{"logits": logits[part]} for part in slices], batches)
    assert found == pytest.approx(expected)
