"""Stores of data that several want at once: one prepares them, and one copies them to a node's own disk."""

import fcntl
import os
import shutil
import zlib
from pathlib import Path

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import lock
from workloads.datasets import store
from workloads.datasets.prepare import prepare_dataset, store_path


def prepare_alone(dataset: str, data_dir: Path, source: Path | None, progress: store.Progress) -> Path:
    """As `prepare_dataset`, by one process at a time: the others wait, and find the store made.

    Raises InfrastructureError where nothing can be written there.
    """
    folder = store_path(data_dir, dataset)
    if not (folder / store.MANIFEST).is_file():  # else it may be a disk that can only be read
        if (holder := lock.read(folder)) is not None and lock.is_alive(holder):
            progress(f"wait for {holder}", 0, 1)
        with lock.FolderLock(folder, waits=True):
            return prepare_dataset(dataset, data_dir, source, progress)
    return folder / store.MANIFEST


def stage(dataset: str, data_dir: Path, scratch: Path | None) -> Path:
    """The data folder to read from: a copy of the dataset's store in `scratch`, or `data_dir` where that is None.

    The first process of a node copies and the others wait for it; a copy that was cut short is made anew, one that is
    whole is used again. Raises InfrastructureError where the node's disk fails or is too small.
    """
    manifest = store_path(data_dir, dataset) / store.MANIFEST
    if scratch is None or not manifest.is_file():  # that it is not prepared is said by whoever opens it
        return data_dir
    try:
        # The same data under the same name, whoever prepared it; other data under another.
        staged = scratch / f"algoperf_{os.getuid()}" / f"{dataset}_{zlib.crc32(manifest.read_bytes()):08x}"
        staged.mkdir(parents=True, exist_ok=True)
        with (staged / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (store_path(staged, dataset) / store.MANIFEST).is_file():
                _copy(manifest.parent, store_path(staged, dataset))
    except OSError as error:
        raise InfrastructureError(f"{dataset} cannot be copied to {scratch}: {error.strerror or error}.") from error
    return staged


def _copy(source: Path, target: Path) -> None:
    """All files of a store, the manifest last: it is the sign that all are there."""
    target.mkdir(exist_ok=True)
    sizes = {name: file["bytes"] for part in store.read_manifest(source).parts for name, file in part.files.items()}
    free = shutil.disk_usage(target).free
    if sum(sizes.values()) > free:
        raise InfrastructureError(
            f"{target} needs {sum(sizes.values()) / 1e9:.1f} GB, but its disk has {free / 1e9:.1f} GB free; "
            "leave scratch out of cluster.yaml, or name another folder."
        )
    for name in sizes:
        shutil.copyfile(source / name, target / name)
    partial = target / f"{store.MANIFEST}.partial"
    shutil.copyfile(source / store.MANIFEST, partial)
    partial.replace(target / store.MANIFEST)
