"""The mean loss over all valid examples of a split."""

import numpy as np

from workloads.datasets.source import Batch, Source

NEEDS = frozenset()


def statistics(outputs: dict[str, np.ndarray], batch: Batch, source: Source) -> np.ndarray:
    """One row: the sum of the losses, and over how many."""
    del batch, source
    return np.array([[outputs["per_example"].sum(dtype=np.float64), outputs["n_valid_examples"]]], np.float64)


def result(statistics: np.ndarray) -> float:
    """The mean, in the unit of the loss."""
    total, count = statistics.sum(axis=0)
    return float(total / count)
