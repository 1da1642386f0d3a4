"""Search space -> hyperparameter points, bit-exact with the official sampler, in a fixed order.

The official sampler draws a shifted, digit-permuted Halton sequence (Bousquet et al. 2017, arXiv 1706.03200) and then
shuffles the points with an unseeded generator, so that trial 1 of two processes differs. Here the points are the same
set in the sequence's own order, which makes trial k the same point on every machine.
"""

import functools
import json
import keyword
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.benchmark.facts import UsageError

_SKIPPED_POINTS = 100
_LARGEST_BASE = 1_000

Point = dict[str, Any]


def load_search_space(path: Path) -> dict[str, dict[str, Any]] | list[Point]:
    """A search space from JSON: a dictionary to sample from, or a list of points, which may be called `hparams`.

    Raises UsageError if malformed.
    """
    space = read_json(path, f"the search space {path}")
    if isinstance(space, dict) and list(space) == ["hparams"] and isinstance(space["hparams"], list):
        space = space["hparams"]
    if isinstance(space, list):
        if not space or not all(isinstance(point, dict) and point for point in space):
            raise UsageError(f"the search space {path} is a list, so each entry must be a point, like {{'lr': 0.1}}.")
        for name in dict.fromkeys(name for point in space for name in point):
            _check_name(name, f"the search space {path}")
        return space
    if not isinstance(space, dict) or not space:
        raise UsageError(f"the search space {path} must be a dictionary of ranges or a list of points.")
    for name, dimension in space.items():
        _check_name(name, f"the search space {path}")
        _check_dimension(f"{name!r} in the search space {path}", dimension)
    return space


def load_point(path: Path) -> Point:
    """One point from JSON, which may be empty. Raises UsageError if malformed."""
    point = read_json(path, f"the point {path}")
    if not isinstance(point, dict):
        raise UsageError(f"the point {path} must be a dictionary of hyperparameters, like {{'lr': 0.1}}.")
    for name in point:
        _check_name(name, f"the point {path}")
    return point


def read_json(path: Path, where: str) -> Any:
    """What a JSON file holds.

    Raises UsageError where it cannot be read, names a key twice (Python would keep the last one), or has a number that
    is not finite, which JSON has not (Python would read NaN).
    """
    try:
        return json.loads(
            path.read_bytes(), object_pairs_hook=_unique_keys, parse_float=_finite, parse_constant=_finite
        )
    except FileNotFoundError:
        raise UsageError(f"{where} does not exist.") from None
    except OSError as error:
        raise UsageError(f"{where} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON: {error}.") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is in it twice")
    return found


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is not a finite number")
    return number


def _check_name(name: str, where: str) -> None:
    """Submissions read hyperparameters as attributes of a named tuple."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"{where} has the hyperparameter {name!r}, which is not a name in Python.")
    if name.startswith("_"):
        raise UsageError(f"{where} has the hyperparameter {name!r}, which may not begin with an underscore.")


def _check_dimension(where: str, dimension: Any) -> None:
    """A range of one value (min == max) is one: it fixes the hyperparameter, as one feasible point does."""
    needed = "it must have 'feasible_points', or 'min', 'max' and 'scaling'"
    if not isinstance(dimension, dict):
        raise UsageError(f"{where} is {dimension!r}; {needed}.")
    allowed = ("feasible_points",) if "feasible_points" in dimension else ("min", "max", "scaling")
    if unknown := [key for key in dimension if key not in allowed]:
        raise UsageError(f"{where} has the unknown key {unknown[0]!r}; it can have {', '.join(allowed)}.")
    if "feasible_points" in dimension:
        feasible = dimension["feasible_points"]
        if not isinstance(feasible, list) or not feasible:
            raise UsageError(f"{where} has 'feasible_points' {feasible!r}; they must be a list of at least one value.")
        return
    if missing := [key for key in ("min", "max") if key not in dimension]:
        raise UsageError(f"{where} has no {missing[0]!r}; {needed}.")
    _check_range(where, dimension["min"], dimension["max"], dimension.get("scaling", "linear"))


def _check_range(where: str, low: Any, high: Any, scaling: Any) -> None:
    if scaling not in ("linear", "log"):
        raise UsageError(f"{where} has scaling {scaling!r}; it can be 'linear' or 'log'.")
    for key, value in (("min", low), ("max", high)):
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise UsageError(f"{where} has {key} {value!r}, which is not a number.")
    if low > high:
        raise UsageError(f"{where} is an empty range: its min {low} is above its max {high}.")
    if scaling == "log" and low <= 0:
        raise UsageError(f"{where} has min {low}; where scaling is log it must be above 0.")


def points(space: Mapping[str, dict[str, Any]] | list[Point], num_points: int, first: int = 0) -> list[Point]:
    """`num_points` points of a search space from number `first` on; of a list, its first entries (there may be fewer).

    A list is no sequence to draw from: it is the same whatever `first` is.
    """
    if isinstance(space, list):
        return space[:num_points]
    sequence = halton(first + num_points, len(space))[first:]
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
