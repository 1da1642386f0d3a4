"""The mean CTC loss, for each token of the labels: the loss under the name that the speech workloads have for it."""

from workloads.metrics.loss import NEEDS, result, statistics

__all__ = ["NEEDS", "result", "statistics"]
