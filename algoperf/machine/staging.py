"""Copies a prepared store to a node's own disk, once for all trials that the node runs."""

import fcntl
import os
import shutil
import zlib
from pathlib import Path

from algoperf.benchmark.facts import InfrastructureError
from workloads.datasets import store
from workloads.datasets.prepare import store_path


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
        with (staged / "lock").open("w") as lock:
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
