"""Structural similarity of reconstructed and true images (Wang, Bovik, Sheikh and Simoncelli 2004), as fastMRI's.

A uniform window of 7 x 7 pixels, sample variances, and the mean over the windows that lie wholly in the image. Source:
AlgoPerf v0.6, fastMRI.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from workloads.datasets import processors
from workloads.datasets.source import Batch, Source

NEEDS = frozenset({"logits"})

_WINDOW = 7
_PIXELS = _WINDOW**2
_K1, _K2 = 0.01, 0.03


def statistics(outputs: dict[str, np.ndarray], batch: Batch, source: Source) -> np.ndarray:
    """logits, targets: (B, S, S), normalised; mean, std, volume_max, weights: (B,). One row: sum of SSIM, and of how
    many images. volume_max is the range of the pixels in an image's volume; 0, where the raw file has none, means 1.
    """
    del source
    keys = ("targets", "mean", "std", "volume_max")
    with ThreadPoolExecutor(processors.threads()) as pool:  # NumPy works outside of the interpreter's lock
        values = np.array(list(pool.map(_ssim, outputs["logits"], *(batch[key] for key in keys))))
    weights = batch["weights"].astype(np.float64)
    return np.array([[(values * weights).sum(), weights.sum()]])


def result(statistics: np.ndarray) -> float:
    """The mean SSIM of all images, in [-1, 1]."""
    total, count = statistics.sum(axis=0)
    return float(total / count)


def _ssim(logits: np.ndarray, target: np.ndarray, mean: np.float32, std: np.float32, volume_max: np.float32) -> float:
    """The SSIM of two images, (height, width) float32 both, of which `mean` was taken and which `std` then divided.

    Variances do not know of `mean`. It is added after them, or squares far from zero would cost float32 their digits.
    """
    x, y = logits * std, target * std
    data_range = volume_max or np.float32(1)
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    mean_x, mean_y = _window_means(x), _window_means(y)
    to_sample = _PIXELS / (_PIXELS - 1)
    covariance = to_sample * (_window_means(x * y) - mean_x * mean_y)
    variances = to_sample * (_window_means(x * x + y * y) - (mean_x * mean_x + mean_y * mean_y))
    mean_x += mean
    mean_y += mean
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x * mean_x + mean_y * mean_y + c1) * (variances + c2)
    return float(np.clip(similarity.mean(dtype=np.float64), -1, 1))


def _window_means(image: np.ndarray) -> np.ndarray:
    """The mean of each window: (height - 6, width - 6). Sums of 2, 4 and 7 take four additions instead of six."""
    pairs = image[:-1] + image[1:]
    fours = pairs[:-2] + pairs[2:]
    sevens = fours[:-3] + pairs[4:-1] + image[6:]
    pairs = sevens[:, :-1] + sevens[:, 1:]
    fours = pairs[:, :-2] + pairs[:, 2:]
    return (fours[:, :-3] + pairs[:, 4:-1] + sevens[:, 6:]) / _PIXELS
