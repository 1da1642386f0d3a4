"""The archives of fastMRI, unpacked: HDF5 is read in no order that an archive could be read in.

`knee_singlecoil_train` and `knee_singlecoil_val`, each a folder or `.tar.xz` or `.tar.gz`, as it was given away.
"""

import concurrent.futures
import gzip
import lzma
import shutil
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from algoperf.benchmark.facts import UsageError
from algoperf.records import atomic

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
    with concurrent.futures.ThreadPoolExecutor() as pool:
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
    try:
        with tarfile.open(archive, "r|*") as members:
            for member in members:
                members.members = []  # it would keep all of them
                name = PurePosixPath(member.name).name
                # What begins with a dot is what some systems put beside each file.
                if member.isfile() and name.endswith(".h5") and not name.startswith("."):
                    _write(members, member, folder / name)
    except (tarfile.TarError, lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UsageError(f"{archive} is damaged or cut short ({error}); get it again.") from error
    (folder / _WHOLE).touch()


def _write(members: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    if path.is_file() and path.stat().st_size == member.size:
        return
    free = shutil.disk_usage(path.parent).free
    if member.size > free:
        raise UsageError(
            f"{path.parent} has {free / 1e9:.1f} GB free, too few for the next volume of the archive; make room, or "
            "choose another --data-dir."
        )
    content = members.extractfile(member)
    assert content is not None, f"{member.name} is no file"
    with atomic.writing(path) as file:
        shutil.copyfileobj(content, file, _COPIED)
