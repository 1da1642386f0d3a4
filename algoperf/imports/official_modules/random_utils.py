"""In the place of `algoperf.random_utils`: keys of both frameworks by the same names.

A key is JAX's own in JAX; in PyTorch it is a pair of integers, and is derived as the official emulation derives it.
"""

import sys
from typing import Any

import numpy as np

_MODULUS = 2**31 - 1


def PRNGKey(seed: int) -> Any:  # noqa: N802
    """A key from a number."""
    return _jax().PRNGKey(seed) if "jax" in sys.modules else split(np.asarray(seed), 2)[0]


def split(seed: Any, num: int = 2) -> Any:
    """`num` keys from one, (num, 2)."""
    if _is_of_jax(seed):
        return _jax().split(seed, num)
    return _generator(seed).randint(0, _MODULUS, size=(num, 2), dtype=np.int32)


def fold_in(seed: Any, data: Any) -> Any:
    """A key from a key and a number."""
    if _is_of_jax(seed):
        return _jax().fold_in(seed, data)
    return np.asarray([_generator(seed).randint(0, _MODULUS, dtype=np.int32), data])


def _generator(key: Any) -> np.random.RandomState:
    return np.random.RandomState(np.asarray(key) % _MODULUS)


def _is_of_jax(key: Any) -> bool:
    return type(key).__module__.partition(".")[0] in ("jax", "jaxlib")


def _jax() -> Any:
    return sys.modules["jax"].random
