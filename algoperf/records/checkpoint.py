"""Atomic, verified save and restore of plain data: dictionaries, lists, tuples, numbers, strings, NumPy arrays.

A checkpoint is one `.npz` file: the arrays, and the tree they hang on as JSON. It holds no pickle. It is written
beside its place, flushed to the disk and renamed, so a kill at any moment leaves the checkpoint before it; every byte
read back is checked against the archive's CRC-32. The last two are kept.
"""

import json
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.benchmark.facts import InfrastructureError
from algoperf.records import atomic

# How many checkpoints of a trial stay on the disk, until it has its result.
KEPT = 2
_TREE = "tree"
_DIGITS = 12

# The kinds of arrays that NumPy writes without pickling.
_KINDS = "biufcUSMmV"


class CheckpointError(InfrastructureError):
    """A checkpoint cannot be written, is damaged, or does not fit what it is restored into."""


def save(directory: Path, step: int, state: Mapping[str, Any], rank: int = 0) -> Path:
    """Writes `checkpoint_<step>.npz`, keeps the last two. Raises CheckpointError naming what it cannot hold.

    rank: of the process, where a trial has several. All but the first write only what is their own (`shares.py`), and
    before it: with its file the checkpoint is whole. `state["processes"]`, where it is there, says how many they are.
    """
    arrays: dict[str, np.ndarray] = {}
    tree = json.dumps(_encode(state, arrays, "state"))
    directory.mkdir(parents=True, exist_ok=True)
    path = _path(directory, step, rank)
    if rank == 0:
        atomic.clear(directory)
    with atomic.writing(path) as file:
        np.savez(file, allow_pickle=False, **{_TREE: np.frombuffer(tree.encode(), np.uint8)}, **arrays)
    atomic.flush_folder(directory)
    if rank == 0:
        _remove_old(directory, KEPT)
    return path


def restore_latest(directory: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest whole checkpoint, or None where there is none; and a sentence for each damaged one passed over.

    Raises CheckpointError where there are checkpoints and all of them are damaged.
    """
    damaged = []
    for path in _checkpoints(directory):
        try:
            content = _load(path)
            for rank in range(1, content.get("processes", 1)):
                _verify(_path(directory, int(path.stem[-_DIGITS:]), rank))
            return content, damaged
        except Exception as error:  # damaged bytes can make the reader fail in any way
            damaged.append(f"the checkpoint {path} is damaged ({error}) and is passed over.")
    if damaged:
        raise CheckpointError(f"every checkpoint in {directory} is damaged; remove the folder to begin the trial anew.")
    return None, damaged


def load(directory: Path, step: int, rank: int = 0) -> dict[str, Any]:
    """What a process has written at a step. Raises CheckpointError where it cannot be read."""
    try:
        return _load(_path(directory, step, rank))
    except Exception as error:
        raise CheckpointError(f"the checkpoint {_path(directory, step, rank)} cannot be read: {error}.") from error


def peek(directory: Path, names: Collection[str]) -> dict[str, Any] | None:
    """These entries of the newest checkpoint that can be read; they hold no arrays. None where there is no checkpoint.

    Raises CheckpointError where there are checkpoints and none can be read.
    """
    paths = _checkpoints(directory)
    for path in paths:
        try:
            with np.load(path, allow_pickle=False) as archive:
                pairs = json.loads(archive[_TREE].tobytes())["dict"]
            return {name: _decode(value, {}) for name, value in pairs if name in names}
        except Exception:  # damaged bytes can make the reader fail in any way
            continue
    if paths:
        raise CheckpointError(f"no checkpoint in {directory} can be read.")
    return None


def remove(directory: Path, all_but: int = 0) -> None:
    """Removes checkpoints, whole and half, from a directory. all_but: how many of the newest stay."""
    _remove_old(directory, all_but)
    atomic.clear(directory)


def _remove_old(directory: Path, kept: int) -> None:
    names = tuple(path.stem for path in _checkpoints(directory)[:kept])
    for old in directory.glob("checkpoint_*.npz"):
        if not old.stem.startswith(names):
            old.unlink()


def _path(directory: Path, step: int, rank: int) -> Path:
    own = f"_rank_{rank}" if rank else ""
    return directory / f"checkpoint_{step:0{_DIGITS}d}{own}.npz"


def _checkpoints(directory: Path) -> list[Path]:
    """Those of the first processes, newest first."""
    return sorted(directory.glob(f"checkpoint_{'[0-9]' * _DIGITS}.npz"), reverse=True)


def _verify(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if name := archive.testzip():
            raise ValueError(f"its part {name} fails the checksum")


def _load(path: Path) -> dict[str, Any]:
    _verify(path)
    with np.load(path, allow_pickle=False) as archive:
        tree = json.loads(archive[_TREE].tobytes())
        return _decode(tree, archive)


def _encode(value: Any, arrays: dict[str, np.ndarray], where: str) -> Any:
    """JSON for `value`; its arrays go into `arrays`. A dictionary becomes pairs, as JSON has only string keys."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case np.ndarray() | np.generic():
            if value.dtype.kind not in _KINDS or value.dtype.hasobject:
                raise CheckpointError(f"{where} is an array of {value.dtype}, which a checkpoint cannot hold.")
            name = f"array_{len(arrays)}"
            arrays[name] = np.asarray(value)
            return {"array": name}
        case Mapping():
            return {"dict": [[_key(k, where), _encode(v, arrays, f"{where}[{k!r}]")] for k, v in value.items()]}
        case list() | tuple():
            items = [_encode(item, arrays, f"{where}[{i}]") for i, item in enumerate(value)]
            return {type(value).__name__ if type(value) in (list, tuple) else "tuple": items}
    raise CheckpointError(f"{where} is a {type(value).__name__}, which a checkpoint cannot hold.")


def _key(key: Any, where: str) -> str | int:
    if type(key) not in (str, int):
        raise CheckpointError(f"{where} has the key {key!r}; a checkpoint holds keys that are strings or integers.")
    return key


def _decode(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = tree.items()
    match kind:
        case "array":
            return arrays[content]
        case "dict":
            return {key: _decode(value, arrays) for key, value in content}
        case "list":
            return [_decode(item, arrays) for item in content]
        case "tuple":
            return tuple(_decode(item, arrays) for item in content)
    raise ValueError(f"it has an unknown entry {kind!r}")
