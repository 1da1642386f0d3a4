"""A `.tar.gz` or `.tar.xz` from its beginning to its end, with its checksums: tarfile alone would not look at them."""

import gzip
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from algoperf.benchmark.facts import UsageError

_READ = 1 << 20  # bytes at a time


def files_in(archive: Path) -> Iterator[tuple[str, int, BinaryIO]]:
    """The name, without folders, the size and the content of each file, to be read before the next one is asked for.

    Raises UsageError where the archive is damaged or cut short, at its end at the latest.
    """
    opened = lzma.open if archive.suffix == ".xz" else gzip.open
    try:
        with opened(archive) as stream:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=_READ) as members:
                for member in members:
                    members.members = []  # it would keep all of them
                    content = members.extractfile(member) if member.isfile() else None
                    if content is not None:
                        yield PurePosixPath(member.name).name, member.size, content
            while stream.read(_READ):
                pass
    except (tarfile.TarError, lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UsageError(f"{archive} is damaged or cut short ({error}); get it again.") from error
