"""The archives of WMT17's training corpora and of the newstests -> the text files that raw/wmt.py reads.

A pair of which one side is empty is left out, as Europarl has some; nothing else is changed. Of a `.sgm` file the
segments are the lines. Source: TensorFlow Datasets' wmt17_translate, as AlgoPerf v0.6 uses it.
"""

import dataclasses
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from algoperf.benchmark.facts import UsageError
from workloads.datasets.raw.packed_tar import files_in

_SEGMENT = re.compile(rb'<seg id="\d+">(.*)</seg>')
_COPIED = 1 << 22  # bytes at a time


@dataclasses.dataclass(frozen=True)
class Archived:
    """A text in an archive. stem: of the files that it becomes. members: of German and of English, the names of its
    files, of which the first that there are count.
    """

    archive: str
    stem: str
    members: tuple[tuple[str, str], ...]


TEXTS = (
    Archived(
        "training-parallel-commoncrawl.tgz", "train.commoncrawl", (("commoncrawl.de-en.de", "commoncrawl.de-en.en"),)
    ),
    Archived(
        "training-parallel-europarl-v7.tgz", "train.europarl-v7", (("europarl-v7.de-en.de", "europarl-v7.de-en.en"),)
    ),
    Archived(
        "training-parallel-nc-v12.tgz",
        "train.news-commentary-v12",
        (("news-commentary-v12.de-en.de", "news-commentary-v12.de-en.en"),),
    ),
    Archived("rapid2016.tgz", "train.rapid2016", (("rapid2016.de-en.de", "rapid2016.de-en.en"),)),
    Archived(
        "dev.tgz",
        "newstest2013",
        (("newstest2013.de", "newstest2013.en"), ("newstest2013-src.de.sgm", "newstest2013-ref.en.sgm")),
    ),
    Archived("dev.tgz", "newstest2014", (("newstest2014-deen-src.de.sgm", "newstest2014-deen-ref.en.sgm"),)),
)


def has_archives(source: Path) -> bool:
    return any((source / text.archive).is_file() for text in TEXTS)


def write_texts(source: Path, raw: Path) -> None:
    """Writes the texts of all archives to the folder `raw`, which is there when all of it is.

    Raises UsageError where an archive is missing, damaged or without its text, and where two sides differ in length.
    """
    for text in TEXTS:
        if not (source / text.archive).is_file():
            raise UsageError(f"{source} has no {text.archive}; `algoperf data fetch` brings it.")
    raw.parent.mkdir(parents=True, exist_ok=True)
    for leftover in raw.parent.glob(f".{raw.name}.*"):  # of one that was killed
        shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(prefix=f".{raw.name}.", dir=raw.parent) as scratch:
        ready = Path(scratch) / "texts"
        ready.mkdir()
        for archive in dict.fromkeys(text.archive for text in TEXTS):
            _unpack(source / archive, Path(scratch))
        for text in TEXTS:
            _write(source / text.archive, text, Path(scratch), ready)
        ready.rename(raw)


def _unpack(archive: Path, scratch: Path) -> None:
    """The members that any text wants, by their names."""
    wanted = {name for text in TEXTS for names in text.members for name in names}
    for name, _, content in files_in(archive):
        if name in wanted:
            with (scratch / name).open("wb") as file:
                shutil.copyfileobj(content, file, _COPIED)


def _write(archive: Path, text: Archived, scratch: Path, ready: Path) -> None:
    for names in text.members:
        german, english = (scratch / name for name in names)
        if german.is_file() and english.is_file():
            break
    else:
        raise UsageError(f"{archive} holds no {' or '.join(' and '.join(names) for names in text.members)}.")
    with (ready / f"{text.stem}.de").open("wb") as de, (ready / f"{text.stem}.en").open("wb") as en:
        try:
            for pair in zip(_lines(german), _lines(english), strict=True):
                if all(pair):
                    de.write(pair[0] + b"\n")
                    en.write(pair[1] + b"\n")
        except ValueError as error:
            raise UsageError(f"{names[0]} and {names[1]} in {archive} have different numbers of lines.") from error
    for file in (german, english):
        file.unlink()


def _lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        for line in stream:
            if file.suffix != ".sgm":
                yield line.removesuffix(b"\n")
            elif segment := _SEGMENT.match(line):
                yield segment[1]
