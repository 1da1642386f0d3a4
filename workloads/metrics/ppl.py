"""The exponential of the mean loss: between how many equally likely tokens a language model hesitates."""

import numpy as np

from workloads.metrics import loss

NEEDS = loss.NEEDS
statistics = loss.statistics


def result(statistics: np.ndarray) -> float:
    """At least 1 without label smoothing; infinite where float64 has no such number."""
    with np.errstate(over="ignore"):
        return float(np.exp(loss.result(statistics)))
