"""The mean over tasks of the average precision: how early the positives come where examples are sorted by their logit.

Average precision is scikit-learn's: the precision at each threshold, weighted by the recall that it adds; examples of
one logit share a threshold. The reference sorts by the logits' sigmoid in float32, which makes one threshold of all
large ones.

A task counts where it has a positive and a negative label. The reference takes a missing label for a negative one when
it asks this, so that a task of positives alone adds a 1, whatever the model says; no task of ogbg-molpcba is one.
"""

import numpy as np

from workloads.datasets.source import Batch, Source

NEEDS = frozenset({"logits"})


def statistics(outputs: dict[str, np.ndarray], batch: Batch, source: Source) -> np.ndarray:
    """logits, targets, weights: (G, K). A row for each example that has a label: its logits, targets and weights."""
    del source
    has_label = batch["weights"].any(axis=1)
    columns = (outputs["logits"], batch["targets"], batch["weights"])
    return np.concatenate([array[has_label] for array in columns], axis=1, dtype=np.float64)


def result(statistics: np.ndarray) -> float:
    """The mean, in [0, 1]; NaN where no task counts, or a logit is NaN."""
    tasks = zip(*(columns.T for columns in np.split(statistics, 3, axis=1)), strict=True)
    labelled = ((logits[weights > 0], targets[weights > 0] > 0) for logits, targets, weights in tasks)
    values = [average_precision(*task) for task in labelled if task[1].any() and not task[1].all()]
    return float(np.mean(values)) if values else float("nan")


def average_precision(scores: np.ndarray, is_positive: np.ndarray) -> float:
    """Of one task: (n,) both. NaN where a score is NaN."""
    if np.isnan(scores).any():
        return float("nan")
    order = np.argsort(-scores)
    last_of_score = np.append(np.diff(scores[order]) != 0, True)
    found = np.cumsum(is_positive[order])[last_of_score]
    precision = found / (np.flatnonzero(last_of_score) + 1)
    return float((precision * np.diff(found, prepend=0)).sum() / found[-1])
