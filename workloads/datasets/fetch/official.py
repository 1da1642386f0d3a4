"""What is known of a dataset's official files: addresses, sizes and checksums, each with its source.

They stand in `<dataset>.toml` in this folder. `[[file]]` is a file, `[[hub]]` files that a hub of datasets lists, whose
sizes and checksums it says itself.
"""

import dataclasses
import datetime
import tomllib
from pathlib import Path, PurePosixPath

from algoperf.benchmark.facts import UsageError

_FOLDER = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class File:
    """A file to fetch. name: its path in the folder of raw files. urls: the mirrors in order; none where a person has
    to give a link. also: other names under which it is given away, in another form. checksum: algorithm and digits,
    where one is published. source, date: of what is said here. verified: when a server's answer confirmed it, or "".
    """

    name: str
    urls: tuple[str, ...] = ()
    bytes: int | None = None
    checksum: tuple[str, str] | None = None
    also: tuple[str, ...] = ()
    source: str = ""
    date: str = ""
    verified: str = ""


@dataclasses.dataclass(frozen=True)
class Listed:
    """Files of a repository of the hub. forms: patterns of paths, of which the first that matches any file counts, and
    how many files that are, or 0 where nobody knows. below: what is left out at the beginning of a path to get the
    name. date, verified: as of a File.
    """

    repository: str
    forms: dict[str, int]
    below: str
    source: str
    date: str
    verified: str = ""


@dataclasses.dataclass(frozen=True)
class Official:
    """Where a dataset is had. terms: its licence. agreement: what a person has to do first to get links, or ""."""

    dataset: str
    page: str
    terms: str
    agreement: str
    files: tuple[File, ...]
    listed: tuple[Listed, ...]


def load(dataset: str) -> Official:
    """Raises UsageError for a dataset that has nothing to fetch here, as those of the mini scale."""
    path = _FOLDER / f"{dataset}.toml"
    if not path.is_file():
        raise UsageError(
            f"{dataset} is fetched by `algoperf data prepare` itself; there are official files of "
            f"{', '.join(sorted(file.stem for file in _FOLDER.glob('*.toml')))}."
        )
    content = tomllib.loads(path.read_text("utf-8"))
    files = tuple(_file(entry) for entry in content.get("file", ()))
    listed = tuple(Listed(**_dated(entry)) for entry in content.get("hub", ()))
    return Official(dataset, content["page"], content["terms"], content.get("agreement", ""), files, listed)


def _file(entry: dict) -> File:
    entry = _dated(entry)
    checksums = [(name, entry.pop(name)) for name in ("sha256", "md5") if name in entry]
    urls, also = tuple(entry.pop("urls", ())), tuple(entry.pop("also", ()))
    return File(**entry, urls=urls, also=also, checksum=checksums[0] if checksums else None)


def _dated(entry: dict) -> dict:
    return {key: str(value) if isinstance(value, datetime.date) else value for key, value in entry.items()}


def with_links(
    files: tuple[File, ...], links: dict[str, str], official: Official, *, needed: bool = True
) -> list[File]:
    """The files, those that a person has links of from there first. links: the last part of its address -> the address.

    Raises UsageError where a file has neither an address nor a link, and that is `needed`.
    """
    found, without = [], []
    for file in files:
        names = (PurePosixPath(file.name).name, *file.also)
        given = next((name for name in names if name in links), None)
        if given is not None:
            other = file if given == names[0] else File(name=given, source=file.source, date=file.date)
            found.append(dataclasses.replace(other, urls=(links[given], *other.urls)))
        elif file.urls or not needed:
            found.append(file)
        else:
            without.append(" or ".join(names))
    if without:
        raise UsageError(
            f"{', '.join(without)} of {official.dataset} can not be fetched without links of your own: "
            f"{official.agreement}, and give the file with the links as --links FILE."
        )
    return found
