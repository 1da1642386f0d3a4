"""Where something stands in a sequence, as a vector."""

import math

import numpy as np


def sinusoids(length: int, width: int) -> np.ndarray:
    """Sines, then cosines, of the position at width / 2 frequencies from 1 to 1 / 10,000: (length, width) float32.

    Source: Vaswani et al. 2017 (arXiv 1706.03762), with the halves side by side.
    """
    frequencies = np.exp(-math.log(10_000) / (width // 2 - 1) * np.arange(width // 2))
    angles = np.arange(length)[:, None] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
