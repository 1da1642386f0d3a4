"""The share of examples whose largest logit is at the label."""

import numpy as np


class Metric:
    def __init__(self):
        self._correct = self._count = 0.0

    def update(self, outputs: dict[str, np.ndarray], batch: dict[str, np.ndarray]) -> None:
        """logits: (B, K); targets: (B,); weights: (B,)."""
        correct = outputs["logits"].argmax(axis=-1) == batch["targets"]
        self._correct += float((correct * batch["weights"]).sum(dtype=np.float64))
        self._count += float(batch["weights"].sum(dtype=np.float64))

    def result(self) -> float:
        return self._correct / self._count
