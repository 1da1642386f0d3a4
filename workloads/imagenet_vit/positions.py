"""Where a patch is, as a vector."""

import numpy as np

from algoperf.benchmark.facts import UsageError


def sincos_2d(rows: int, columns: int, width: int) -> np.ndarray:
    """Sines and cosines of column and row at width / 4 frequencies: (rows * columns, width) float32.

    Source: Beyer et al. 2022 (arXiv 2205.01580); a temperature of 10,000.
    """
    if width % 4 or width < 8:
        raise UsageError(f"the width of a ViT, {width}, must be a multiple of 4 and at least 8.")
    frequencies = 10_000.0 ** -(np.arange(width // 4) / (width // 4 - 1))
    y, x = np.mgrid[:rows, :columns].reshape(2, -1, 1) * frequencies
    return np.concatenate([np.sin(x), np.cos(x), np.sin(y), np.cos(y)], axis=1).astype(np.float32)
