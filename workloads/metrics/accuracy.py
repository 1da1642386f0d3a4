"""The share of labels that the model's answer meets."""

import numpy as np

from workloads.datasets.source import Batch, Source

NEEDS = frozenset({"predictions"})


def statistics(outputs: dict[str, np.ndarray], batch: Batch, source: Source) -> np.ndarray:
    """predictions, targets and weights of one shape: a label each. One row: how many are right, of how many."""
    del source
    weights = batch["weights"].astype(np.float64)
    correct = outputs["predictions"] == batch["targets"]
    return np.array([[(correct * weights).sum(), weights.sum()]])


def result(statistics: np.ndarray) -> float:
    """The share, in [0, 1]."""
    correct, count = statistics.sum(axis=0)
    return float(correct / count)
