"""The share of examples whose largest logit is at the label."""

import numpy as np


def statistics(outputs: dict[str, np.ndarray], batch: dict[str, np.ndarray]) -> np.ndarray:
    """logits: (B, K); targets: (B,); weights: (B,). One row: how many are right, and how many there are."""
    correct = outputs["logits"].argmax(axis=-1) == batch["targets"]
    weights = batch["weights"].astype(np.float64)
    return np.array([[(correct * weights).sum(), weights.sum()]])


def result(statistics: np.ndarray) -> float:
    """The share, in [0, 1]."""
    correct, count = statistics.sum(axis=0)
    return float(correct / count)
