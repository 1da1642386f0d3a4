"""The archives of fastMRI, unpacked: HDF5 is read in no order that an archive could be read in.

`knee_singlecoil_train` and `knee_singlecoil_val`, each a folder or `.tar.xz` or `.tar.gz`, as it was given away.
"""

import concurrent.futures
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from algoperf.benchmark.facts import UsageError
from algoperf.records import atomic
from workloads.datasets import processors
from workloads.datasets.raw.packed_tar import files_in

SUFFIXES = (".tar.xz", ".tar.gz")
_WHOLE = ".unpacked"  # in a folder of which every volume is there
_COPIED = 1 << 22  # bytes at a time


def unpacked(source: Path, raw: Path, names: Sequence[str]) -> Path:
    """`source`, where the folders `names` are; or `raw`, where their archives are unpacked and the others linked.

    Where it was killed it goes on with the volumes that are missing. Raises UsageError where an archive is damaged, or
    the disk too full.
    """
    archives = {name: archive for name in names if (archive := _archive(source, name)) is not None}
    if not archives:
        return source
    raw.mkdir(parents=True, exist_ok=True)
    for name in names:
        folder, link = _folder(source, name), raw / name
        if name not in archives and folder is not None and not link.is_dir():
            link.symlink_to(folder.absolute())
    with concurrent.futures.ThreadPoolExecutor(processors.threads()) as pool:
        jobs = [pool.submit(_unpack, archive, raw / name) for name, archive in archives.items()]
        for job in jobs:
            job.result()
    return raw


def _folder(source: Path, name: str) -> Path | None:
    return next((path for path in (source / name, source / name.removeprefix("knee_")) if path.is_dir()), None)


def _archive(source: Path, name: str) -> Path | None:
    if _folder(source, name) is not None:
        return None
    return next((path for suffix in SUFFIXES if (path := source / f"{name}{suffix}").is_file()), None)


def _unpack(archive: Path, folder: Path) -> None:
    if (folder / _WHOLE).is_file():
        return
    folder.mkdir(exist_ok=True)
    atomic.clear(folder)
    for name, size, content in files_in(archive):
        # What begins with a dot is what some systems put beside each file.
        if name.endswith(".h5") and not name.startswith("."):
            _write(content, size, folder / name)
    (folder / _WHOLE).touch()


def _write(content: BinaryIO, size: int, path: Path) -> None:
    if path.is_file() and path.stat().st_size == size:
        return
    free = shutil.disk_usage(path.parent).free
    if size > free:
        raise UsageError(
            f"{path.parent} has {free / 1e9:.1f} GB free, too few for the next volume of the archive; make room, or "
            "choose another --data-dir."
        )
    with atomic.writing(path) as file:
        shutil.copyfileobj(content, file, _COPIED)
