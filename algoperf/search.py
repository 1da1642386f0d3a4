"""Search space -> hyperparameter points, bit-exact with the official sampler, in a fixed order.

The official sampler draws a shifted, digit-permuted Halton sequence (Bousquet et al. 2017, arXiv 1706.03200) and then
shuffles the points with an unseeded generator, so that trial 1 of two processes differs. Here the points are the same
set in the sequence's own order, which makes trial k the same point on every machine.
"""

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.spec import UsageError

_SKIPPED_POINTS = 100
_LARGEST_BASE = 1_000

Point = dict[str, Any]


def load_search_space(path: Path) -> dict[str, dict[str, Any]] | list[Point]:
    """A search space from JSON: a dictionary to sample from, or a list of points. Raises UsageError if malformed."""
    try:
        space = json.loads(path.read_text())
    except FileNotFoundError:
        raise UsageError(f"the search space {path} does not exist.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the search space {path} is not JSON: {error}.") from None
    if isinstance(space, list):
        if not space or not all(isinstance(point, dict) and point for point in space):
            raise UsageError(f"the search space {path} is a list, so each entry must be a point, like {{'lr': 0.1}}.")
        return space
    if not isinstance(space, dict) or not space:
        raise UsageError(f"the search space {path} must be a dictionary of ranges or a list of points.")
    for name, dimension in space.items():
        _check_dimension(f"{name!r} in the search space {path}", dimension)
    return space


def _check_dimension(where: str, dimension: Any) -> None:
    if not isinstance(dimension, dict):
        raise UsageError(f"{where} must have 'feasible_points', or 'min', 'max' and 'scaling'.")
    if "feasible_points" in dimension:
        points = dimension["feasible_points"]
        if not isinstance(points, list) or not points or set(dimension) != {"feasible_points"}:
            raise UsageError(f"{where} must have a list of at least one value as its only entry 'feasible_points'.")
        return
    if not {"min", "max"} <= set(dimension) <= {"min", "max", "scaling"}:
        raise UsageError(f"{where} must have 'feasible_points', or 'min', 'max' and 'scaling'.")
    low, high, scaling = dimension["min"], dimension["max"], dimension.get("scaling", "linear")
    if scaling not in ("linear", "log"):
        raise UsageError(f"{where} has scaling {scaling!r}; it can be 'linear' or 'log'.")
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in (low, high))
    if not numbers or low > high or (scaling == "log" and low <= 0):
        raise UsageError(f"{where} must have numbers with min <= max (and min > 0 where scaling is log).")


def points(space: Mapping[str, dict[str, Any]] | list[Point], num_points: int) -> list[Point]:
    """The first `num_points` points of a search space; of a list, its first entries (there may be fewer)."""
    if isinstance(space, list):
        return space[:num_points]
    sequence = halton(num_points, len(space))
    return [
        {name: _value(dimension, u) for (name, dimension), u in zip(space.items(), row, strict=True)}
        for row in sequence
    ]


def _value(dimension: Mapping[str, Any], u: float) -> Any:
    """The value at quantile `u` in [0, 1) of one dimension."""
    if "feasible_points" in dimension:
        feasible = dimension["feasible_points"]
        return feasible[math.floor(u * len(feasible))]
    low, high = dimension["min"], dimension["max"]
    if dimension.get("scaling", "linear") == "log":
        return low * math.exp(u * math.log(high / low))
    return low + u * (high - low)


def halton(num_points: int, num_dims: int) -> np.ndarray:
    """Points in [0, 1), shape (num_points, num_dims), float64: the official sequence before its shuffle."""
    indices = np.arange(_SKIPPED_POINTS + 1, _SKIPPED_POINTS + 1 + num_points)
    return np.stack([_van_der_corput(indices, base) for base in _bases(num_dims)], axis=1)


@functools.cache
def _bases(num_dims: int) -> list[int]:
    """The last `num_dims` primes below 1,000 without the largest of them."""
    primes = [n for n in range(3, _LARGEST_BASE) if all(n % divisor for divisor in range(2, math.isqrt(n) + 1))]
    if num_dims >= len(primes):
        raise UsageError(f"a search space has at most {len(primes) - 1} hyperparameters, not {num_dims}.")
    return primes[-num_dims - 1 : -1]


def _van_der_corput(indices: np.ndarray, base: int) -> np.ndarray:
    """The radical inverses of `indices` with permuted digits, shifted by a random amount modulo 1."""
    rng = np.random.RandomState(base)
    permutation = np.arange(1, base)
    rng.shuffle(permutation)
    permutation = np.concatenate([[0], permutation])
    shift = rng.random_sample()
    inverse = np.zeros(len(indices))
    remaining, denominator = indices.copy(), base
    while remaining.any():
        inverse += permutation[remaining % base] / denominator
        remaining //= base
        denominator *= base
    return (inverse + shift) % 1.0
