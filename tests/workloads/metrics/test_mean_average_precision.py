"""Mean average precision is scikit-learn's, over the tasks for which there is one."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from workloads.metrics.mean_average_precision import average_precision, result, statistics


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(
    arrays.arrays(np.float64, n, elements=st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0])),
    arrays.arrays(bool, n).filter(np.any),
)))  # fmt: skip
def test_average_precision_is_scikit_learn_s_with_ties_too(task):
    scores, is_positive = task
    assert average_precision(scores, is_positive) == pytest.approx(
        sklearn.metrics.average_precision_score(is_positive, scores), abs=1e-12
    )


def random_batch(seed: int, num_graphs: int, num_tasks: int) -> tuple[dict, dict]:
    random = np.random.default_rng(seed)
    logits = random.standard_normal((num_graphs, num_tasks), dtype=np.float32)
    targets, weights = np.float32(random.random((2, num_graphs, num_tasks)) < 0.4)
    return {"logits": logits}, {"targets": targets * weights, "weights": weights}


def test_the_mean_is_over_tasks_with_both_labels():
    outputs, batch = random_batch(0, 200, 6)
    batch["targets"][:, 1] = 0
    batch["targets"][:, 3] = batch["weights"][:, 3]
    batch["weights"][:, 5] = 0
    valid = batch["weights"] > 0
    of_tasks = [
        sklearn.metrics.average_precision_score(batch["targets"][valid[:, k], k], outputs["logits"][valid[:, k], k])
        for k in (0, 2, 4)
    ]
    assert result(statistics(outputs, batch, None)) == pytest.approx(np.mean(of_tasks), abs=1e-12)


def test_graphs_without_a_label_leave_no_row():
    outputs, batch = random_batch(1, 50, 4)
    batch["weights"][30:] = 0
    rows = statistics(outputs, batch, None)
    assert rows.dtype == np.float64
    assert rows.shape == (batch["weights"].any(axis=1).sum(), 12)


def test_it_does_not_matter_how_the_graphs_were_divided_into_batches():
    outputs, batch = random_batch(2, 90, 5)
    parts = [
        statistics(
            {"logits": outputs["logits"][begin:end]}, {name: array[begin:end] for name, array in batch.items()}, None
        )
        for begin, end in ((60, 90), (0, 17), (17, 60))
    ]
    assert result(np.concatenate(parts)) == pytest.approx(result(statistics(outputs, batch, None)), abs=1e-12)


def test_a_perfect_order_gives_one_and_a_diverged_model_nan():
    outputs, batch = random_batch(3, 40, 3)
    outputs["logits"] = batch["targets"] - 0.5
    assert result(statistics(outputs, batch, None)) == 1.0
    outputs["logits"][np.argmax(batch["weights"][:, 0]), 0] = np.nan
    assert np.isnan(result(statistics(outputs, batch, None)))
    batch["weights"][:] = 0
    assert np.isnan(result(statistics(outputs, batch, None)))
