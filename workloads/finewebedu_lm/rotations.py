"""Where a token stands, as angles by which parts of its query and key are turned (Su et al. 2021, arXiv 2104.09864)."""

import numpy as np

_BASE = 500_000


def cosines_and_sines(length: int, num_features: int) -> np.ndarray:
    """Of position * _BASE^(-2i / num_features) for the pairs i of features: (2, length, num_features / 2) float64."""
    frequencies = _BASE ** -(np.arange(0, num_features, 2) / num_features)
    angles = np.arange(length)[:, None] * frequencies
    return np.stack([np.cos(angles), np.sin(angles)])
