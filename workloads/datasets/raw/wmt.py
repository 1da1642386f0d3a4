"""Parallel text as files: line n of a German file and line n of an English one say the same.

A text is `<stem>.de` and `<stem>.en`, or several of them, `<stem>.<corpus>.de` and `<stem>.<corpus>.en`; each plain or
`.gz`. Lines are UTF-8 and end with a line feed, and no other character ends one.
"""

import contextlib
import dataclasses
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from algoperf.benchmark.facts import UsageError

LANGUAGES = ("de", "en")  # source and target
LINES_PER_BLOCK = 65_536
_CHUNK = 1 << 24  # bytes read at a time
_LINE_FEED = ord("\n")


@dataclasses.dataclass(frozen=True)
class Lines:
    """Lines of a file: bytes begin .. end of its content, unpacked. first: the number of the first line, from 1."""

    file: Path
    first: int
    begin: int
    end: int

    def read(self) -> list[str]:
        """Raises UsageError, with the number of the line, for one that is empty or not UTF-8."""
        with _open(self.file) as stream:
            stream.seek(self.begin)
            content = stream.read(self.end - self.begin)
        try:
            lines = content.decode().removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            line = self.first + content.count(b"\n", 0, error.start)
            raise UsageError(f"line {line} of {self.file} is not UTF-8; correct it or remove the pair.") from error
        for number, line in enumerate(lines, self.first):
            if not line:
                raise UsageError(f"line {number} of {self.file} is empty; remove the pair from both files.")
        return lines


@dataclasses.dataclass(frozen=True)
class Block:
    """Successive pairs of a text, at most LINES_PER_BLOCK."""

    name: str
    source: Lines
    target: Lines

    @property
    def num_bytes(self) -> int:
        return sum(lines.end - lines.begin for lines in (self.source, self.target))

    def read(self) -> list[tuple[str, str]]:
        """Raises UsageError for a line that is empty or not UTF-8."""
        return list(zip(self.source.read(), self.target.read(), strict=True))


def find_blocks(raw: Path, stem: str) -> list[Block]:
    """All pairs of the text `stem` in the folder `raw`; reads the files once, to count their lines.

    Raises UsageError where there are none, where a file has no counterpart, and where the numbers of lines differ.
    """
    corpora = find_texts(raw, stem)
    if not corpora:
        raise UsageError(f"{raw} has no {stem}.de and {stem}.en; docs/data.md says how the raw files are laid out.")
    return [block for corpus, files in corpora.items() for block in _blocks(raw, corpus, files)]


def find_texts(raw: Path, stem: str) -> dict[str, dict[str, Path]]:
    """Corpus -> language -> file, of all files of the text `stem` in the folder `raw`."""
    corpora: dict[str, dict[str, Path]] = {}
    for file in sorted(raw.glob(f"{stem}.*")):
        corpus, _, language = file.name.removesuffix(".gz").rpartition(".")
        if language in LANGUAGES:
            corpora.setdefault(corpus, {})[language] = file
    return corpora


def _blocks(raw: Path, corpus: str, files: dict[str, Path]) -> Iterator[Block]:
    for language in LANGUAGES:
        if language not in files:
            raise UsageError(f"{raw} has {next(iter(files.values())).name}, but no {corpus}.{language}.")
    (source, source_starts, source_lines), (target, target_starts, target_lines) = (
        (files[language], *_count_lines(files[language])) for language in LANGUAGES
    )
    if source_lines != target_lines:
        raise UsageError(
            f"{source} has {source_lines:,} lines and {target.name} {target_lines:,}; line n of both should be a pair."
        )
    for number in range(len(source_starts) - 1):
        first = 1 + number * LINES_PER_BLOCK
        yield Block(
            f"{corpus}-{number:03}",
            Lines(source, first, *source_starts[number : number + 2]),
            Lines(target, first, *target_starts[number : number + 2]),
        )


def _count_lines(file: Path) -> tuple[list[int], int]:
    """The byte at which each block begins, with the end of the file; and the number of lines.

    Raises UsageError for an empty file, and for one that can not be unpacked.
    """
    starts, size, lines, last = [0], 0, 0, b""
    with _open(file) as stream:
        while chunk := stream.read(_CHUNK):
            ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == _LINE_FEED)
            starts += (size + 1 + ends[(LINES_PER_BLOCK - 1 - lines) % LINES_PER_BLOCK :: LINES_PER_BLOCK]).tolist()
            size, lines, last = size + len(chunk), lines + len(ends), chunk[-1:]
    if not size:
        raise UsageError(f"{file} is empty.")
    return [start for start in starts if start < size] + [size], lines + (last != b"\n")


@contextlib.contextmanager
def _open(file: Path) -> Iterator[BinaryIO]:
    """The content of a file, unpacked. Raises UsageError where it can not be read."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            yield stream
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{file} can not be read ({error}); replace it.") from error


def sample(blocks: Sequence[Block], num_chars: int) -> Iterator[str]:
    """Texts of about `num_chars` characters together, pairs evenly spaced over all blocks; reads every line."""
    every = max(1, sum(block.num_bytes for block in blocks) // num_chars)
    for block in blocks:
        for pair in block.read()[::every]:
            yield from pair
