"""Example sentences of a German-English dictionary as parallel text: the mini scale's translations.

The dictionary of the TU Chemnitz (Debian package trans-de-en, GPL-2+, by Frank Richter and others) has 17,011 whole
sentences of everyday German with their translations, eight words long on average. They are real, but they are not WMT's
news and parliament, and results on them say nothing about WMT. Preparation and reading are those of WMT.

An entry is `de :: en`; `|` parts both sides into as many sub-entries, and `;` a sub-entry into synonyms, of which the
first is taken, without the notes in brackets. A sentence of either language stands in one pair only, and so in one
split.
"""

import re
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from algoperf.benchmark.facts import Split, UsageError
from workloads.datasets.raw.packages import DebianPackage, check_sha256, unpack_debian
from workloads.datasets.raw.wmt import LANGUAGES
from workloads.datasets.source import Source
from workloads.datasets.store import Progress
from workloads.datasets.wmt import ParallelText, made_up_pairs, open_split, prepare_text

__all__ = ["fetch", "made_up", "open_split", "prepare"]

FOLDER, FILE = "usr/share/trans", "de-en"
FILE_SHA256 = "34052c6021d09eadfee7a893a789204265954df70fe9c36d38fa00058d79d326"
PACKAGE = DebianPackage(
    name="trans-de-en",
    version="1.9-6",
    sha256="45f6b4cf1c434776fba6811d7bc522efabb5425c43ba8afd0e289bf9e2e53df4",
    files={f"{FOLDER}/{FILE}": FILE_SHA256},
)
WAY_OUT = f"give the folder of the package's file {FILE} as --source DIR"

TEXT = ParallelText(
    name="trans_de_en",
    description="Example sentences of a German-English dictionary: real data, not WMT's news and parliament.",
    stems={"train": "train", "validation": "validation", "test": "test"},
    vocab_size=2_048,
)
PAIRS_PER_EVALUATION = 32  # one pair of so many is validation, and one is test
SHORTEST = 3  # words

_NOTE = re.compile(r"\{[^{}]*\}|\[[^][]*\]|\([^()]*\)|<[^<>]*>")
_MARK = re.compile(r"[.!?]")
_SPACE_BEFORE_MARK = re.compile(r"\s+(?=[.,:!?])")
_UNFIT = re.compile(r"[/(){}<>\[\]|]")  # alternatives, and notes within notes


def fetch(raw: Path, source: Path | None) -> Path:
    """Writes two files for each split below `raw`, from the Debian package or from the dictionary in `source`."""
    if raw.is_dir():
        return raw
    raw.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=raw.parent) as scratch:
        if source is None:
            unpack_debian(PACKAGE, Path(scratch), WAY_OUT)
            source = Path(scratch) / FOLDER
        text = Path(scratch) / "text"
        text.mkdir()
        write_text(source, text)
        text.rename(raw)
    return raw


def made_up(split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    return made_up_pairs(split, num_examples, data, TEXT)


def write_text(source: Path, raw: Path) -> None:
    """The dictionary -> WMT's layout. Raises UsageError where it is missing or another one."""
    dictionary = source / FILE
    if not dictionary.is_file():
        raise UsageError(f"{source} has no {FILE}; {WAY_OUT}.")
    check_sha256(dictionary, FILE_SHA256)
    of_splits: dict[Split, list[tuple[str, str]]] = {split: [] for split in TEXT.stems}
    for pair in without_repetitions(sentences(dictionary.read_text(encoding="utf-8"))):
        of_splits[split_of(pair)].append(pair)
    for split, pairs in of_splits.items():
        for language, texts in zip(LANGUAGES, zip(*pairs, strict=True), strict=True):
            (raw / f"{TEXT.stems[split]}.{language}").write_text("\n".join(texts) + "\n", encoding="utf-8")


def sentences(dictionary: str) -> Iterator[tuple[str, str]]:
    """The sub-entries of which both sides are sentences."""
    for entry in dictionary.split("\n"):
        if " :: " not in entry or entry.startswith("#"):
            continue
        german, english = entry.split(" :: ")
        for pair in zip(german.split("|"), english.split("|"), strict=True):
            if not all(map(_MARK.search, pair)):  # most are words, and to clean them takes longer than to ask
                continue
            de, en = (_without_notes(text.split(";")[0]) for text in pair)
            if _is_sentence(de) and _is_sentence(en):
                yield de, en


def _without_notes(text: str) -> str:
    return _SPACE_BEFORE_MARK.sub("", " ".join(_NOTE.sub(" ", text).split()))


def _is_sentence(text: str) -> bool:
    """Begins with a capital letter, ends as sentences do, and has no alternatives in it."""
    return (
        len(text.split()) >= SHORTEST
        and text[0].isupper()
        and text.endswith((".", "!", "?"))
        and not _UNFIT.search(text)
    )


def without_repetitions(pairs: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The pairs of which neither side was in one before."""
    seen: tuple[set[str], set[str]] = set(), set()
    for de, en in pairs:
        if de not in seen[0] and en not in seen[1]:
            yield de, en
            seen[0].add(de)
            seen[1].add(en)


def split_of(pair: tuple[str, str]) -> Split:
    match zlib.crc32(pair[0].encode()) % PAIRS_PER_EVALUATION:
        case 0:
            return "validation"
        case 1:
            return "test"
    return "train"


def prepare(raw: Path, store: Path, progress: Progress) -> None:
    """Raw text -> store."""
    prepare_text(raw, store, progress, TEXT, str(PACKAGE))
