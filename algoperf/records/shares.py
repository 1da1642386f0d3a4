"""What the processes of a trial have in common is written once: the first one's arrays, and what others have besides.

Trees are plain data as a checkpoint holds them.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

# In place of an array that is the first process's: where it stands there. No other dictionary has this key.
_FIRST = "__first__"
_DIGEST_SIZE = 16


def digests(tree: Any) -> np.ndarray:
    """Of every array with its place, in order: float64 of shape (n, 4), each number 32 bits of a hash."""
    found = []
    _changed(tree, "", lambda path, array: found.append(_digest(path, array)))
    return np.array(found, np.float64).reshape(-1, _DIGEST_SIZE // 4)


def without(tree: Any, firsts: np.ndarray) -> Any:
    """The tree without its arrays that are the first process's, as well. firsts: its digests."""
    known = set(map(tuple, firsts.tolist()))
    return _changed(tree, "", lambda path, array: {_FIRST: path} if _digest(path, array) in known else array)


def together(own: Any, first: Any) -> Any:
    """The inverse of `without`. first: the first process's tree."""
    arrays = {}
    _changed(first, "", arrays.setdefault)
    return _filled(own, arrays)


def _changed(tree: Any, path: str, change: Callable[[str, np.ndarray], Any]) -> Any:
    match tree:
        case np.ndarray():
            return change(path, tree)
        case dict():
            return {key: _changed(item, f"{path}/{key!r}", change) for key, item in tree.items()}
        case list() | tuple():
            return type(tree)([_changed(item, f"{path}/{number}", change) for number, item in enumerate(tree)])
    return tree


def _filled(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    match tree:
        case {"__first__": path}:
            return arrays[path]
        case dict():
            return {key: _filled(item, arrays) for key, item in tree.items()}
        case list() | tuple():
            return type(tree)([_filled(item, arrays) for item in tree])
    return tree


def _digest(path: str, array: np.ndarray) -> tuple[float, ...]:
    found = hashlib.blake2b(f"{path} {array.dtype.str} {array.shape}".encode(), digest_size=_DIGEST_SIZE)
    found.update(np.ascontiguousarray(array).view(np.uint8) if array.size and array.ndim else array.tobytes())
    return tuple(np.frombuffer(found.digest(), np.uint32).astype(np.float64).tolist())
