"""Random numbers for augmentation: a function of seed, epoch and example, whatever thread or batch asks for them."""

import numpy as np


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit of the result depends on every bit of x."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def uniform(seed: int, epochs: np.ndarray, indices: np.ndarray, count: int) -> np.ndarray:
    """`count` uniform numbers in [0, 1) for each example: (B, count) float64. seed: any integer, taken modulo 2**64."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    state = _mix(np.full(len(indices), seed % 2**64, np.uint64))
    for word in (epochs, indices):
        state = _mix(state + golden + word.astype(np.uint64))
    sequence = state[:, None] + golden * np.arange(1, count + 1, dtype=np.uint64)
    return (_mix(sequence) >> np.uint64(11)) * 2.0**-53
