"""The mean loss over all valid examples of a split."""

import numpy as np


class Metric:
    def __init__(self):
        self._sum = self._count = 0.0

    def update(self, outputs: dict[str, np.ndarray], batch: dict[str, np.ndarray]) -> None:
        del batch
        self._sum += outputs["per_example"].sum(dtype=np.float64)
        self._count += float(outputs["n_valid_examples"])

    def result(self) -> float:
        return self._sum / self._count
