"""Mixup (Zhang et al. 2017): each image and its label are mixed with those of the image before it in the batch.

Source: AlgoPerf v0.6, ImageNet pipeline of the JAX workloads: one weight for the whole global batch, whose first image
is mixed with its last.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.special

IMAGES_PER_JOB = 16


def beta_weight(alpha: float, uniform: float) -> np.float32:
    """The weight of a batch, distributed as Beta(alpha, alpha), from a uniform number in [0, 1)."""
    return np.float32(scipy.special.betaincinv(alpha, alpha, uniform))


def mix_images(images: np.ndarray, weight: np.float32, pool: ThreadPoolExecutor) -> np.ndarray:
    """Image i + 1 of `images` (B + 1, S, S, C) float32, which is overwritten, mixed with image i: (B, S, S, C)."""
    mixed = images[1:]
    jobs = np.array_split(np.arange(len(mixed)), -(-len(mixed) // IMAGES_PER_JOB))
    before = [images[numbers[0]].copy() for numbers in jobs]  # the next job to the left overwrites it
    list(pool.map(_mix, (mixed[numbers[0] : numbers[-1] + 1] for numbers in jobs), before, [weight] * len(jobs)))
    return mixed


def _mix(images: np.ndarray, before: np.ndarray, weight: np.float32) -> None:
    """From the last image to the first, so that the one before it is still unmixed."""
    for number in range(len(images) - 1, -1, -1):
        images[number] *= weight
        images[number] += (1 - weight) * (images[number - 1] if number else before)


def mix_labels(labels: np.ndarray, weight: np.float32, num_classes: int) -> np.ndarray:
    """Labels (B + 1,) -> targets (B, num_classes) float32: of each label but the first, mixed with the one before."""
    one_hot = np.eye(num_classes, dtype=np.float32)
    return weight * one_hot[labels[1:]] + (1 - weight) * one_hot[labels[:-1]]
