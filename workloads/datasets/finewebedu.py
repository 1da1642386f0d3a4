"""FineWeb-Edu: documents in parquet files -> one long text in GPT-2's encoding -> sequences of tokens.

Raw: `*.parquet` with a column `text`, a document a row, as the sample of 10 billion tokens is published, and optionally
GPT-2's ranks (see gpt2.py). One document of sixteen, by the checksum of its text, is held out for validation, so that a
document that stands there twice is on one side only. There is no test split.

Documents are joined with the end-of-text token before each: so the first token of every one, of a part's first too, is
predicted from the token that GPT-2 is given to begin a text with. The stream of a part is cut into pieces of 1,025
tokens, of which inputs are the first and targets the last 1,024. Train is the first 8,749,870 pieces and validation the
first 100,000, the reference's numbers; the others are not read.

Store: parts of `<part>.train` and `<part>.validation`, tokens as uint16, and `gpt2.tiktoken`, the vocabulary.
"""

import contextlib
import dataclasses
import functools
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tiktoken

from algoperf.benchmark.facts import Split, UsageError
from workloads.datasets.sheet.card import Card, text
from workloads.datasets.source import (
    MADE_UP_EXAMPLES,
    Batch,
    NumberTokenizer,
    RowSource,
    Source,
    made_up_numbers,
    raw_folder,
    read_one,
)
from workloads.datasets.store import (
    FileWriter,
    Manifest,
    Part,
    Progress,
    build,
    evenly_spaced,
    memory_map,
    read_manifest,
    write_manifest,
    written_part,
)
from workloads.datasets.transforms import gpt2

COLUMN = "text"
TOKEN = np.dtype("<u2")
DOCUMENTS_PER_PART = 65_536  # or one row group, where that has more
DOCUMENTS_PER_HELD_OUT = 16
_DOCUMENTS_READ = 1_024  # at a time
_STORE_BYTES_PER_TEXT_BYTE = 0.45


@dataclasses.dataclass(frozen=True)
class Documents:
    """What is prepared, and how. sequence_length: for which examples are counted. split_of: of a document, by its file
    and text. most: how many sequences of a split are used, where not all.
    """

    name: str
    description: str
    vocab_size: int
    sequence_length: int
    split_of: Callable[[Path, str], Split]
    most: Mapping[Split, int]


def held_out(file: Path, text: str) -> Split:
    """`validation` for one document of sixteen."""
    del file
    return "train" if zlib.crc32(text.encode()) % DOCUMENTS_PER_HELD_OUT else "validation"


FINEWEBEDU = Documents(
    name="finewebedu",
    description="FineWeb-Edu, the sample of 10 billion tokens, in GPT-2's encoding.",
    vocab_size=gpt2.VOCAB_SIZE,
    sequence_length=1_024,
    split_of=held_out,
    most={"train": 8_749_870, "validation": 100_000},
)


def fetch(raw: Path, source: Path | None) -> Path:
    """`source`; the files have about 30 GB."""
    return raw_folder(source, "FineWeb-Edu")


def prepare(raw: Path, store: Path, progress: Progress) -> None:
    """Raw documents -> store."""
    prepare_documents(raw, store, progress, FINEWEBEDU, str(raw))


def prepare_documents(raw: Path, store: Path, progress: Progress, documents: Documents, source: str) -> None:
    """`prepare` for any documents that come in parquet files."""
    row_groups = list(_find_row_groups(raw))
    write = functools.partial(_make_vocabulary, raw, store, documents.vocab_size)
    vocabulary = build(store, {"vocabulary": write}, 0, progress)
    encoding = gpt2.read_encoding(store / gpt2.FILE)
    makers = {groups.name: functools.partial(_make_part, store, groups, encoding, documents) for groups in row_groups}
    bytes_needed = int(_STORE_BYTES_PER_TEXT_BYTE * sum(groups.num_bytes for groups in row_groups))
    parts = _first(build(store, makers, bytes_needed, progress), documents.most)
    write_manifest(store, Manifest(documents.name, documents.description, source, vocabulary + parts))


@dataclasses.dataclass(frozen=True)
class RowGroups:
    """Successive row groups of a file, of which a part is made. first_row: from 1. num_bytes: about as many of text."""

    name: str
    file: Path
    numbers: tuple[int, ...]
    first_row: int
    num_bytes: int

    def read(self) -> Iterator[str]:
        """The documents. Raises UsageError, with the number of the row, for one that is empty or not UTF-8."""
        row = self.first_row
        with _open(self.file) as parquet:
            for batch in parquet.iter_batches(_DOCUMENTS_READ, self.numbers, [COLUMN], use_threads=False):
                for number, value in enumerate(batch[COLUMN], row):
                    yield _document(value, f"row {number} of {self.file}")
                row += len(batch)


def _document(value: pa.StringScalar, where: str) -> str:
    try:
        document = value.as_py()
    except UnicodeDecodeError as error:
        raise UsageError(f"the text in {where} is not UTF-8; correct it or remove the row.") from error
    if not document:
        raise UsageError(f"there is no text in {where}; remove the row.")
    return document


@contextlib.contextmanager
def _open(file: Path) -> Iterator[pq.ParquetFile]:
    """Raises UsageError where the file is damaged."""
    try:
        with pq.ParquetFile(file) as parquet:
            yield parquet
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{file} is damaged or not parquet ({str(error).splitlines()[0].rstrip('.')}).") from error


def _find_row_groups(raw: Path) -> Iterator[RowGroups]:
    """All of the folder. Raises UsageError where there are no files, or one has no column of texts."""
    files = sorted(raw.glob("*.parquet"))
    if not files:
        raise UsageError(f"there are no .parquet files in {raw}; docs/data.md says how the raw files are laid out.")
    for file in files:
        with _open(file) as parquet:
            schema, metadata = parquet.schema_arrow, parquet.metadata
        if COLUMN not in schema.names or schema.field(COLUMN).type not in (pa.string(), pa.large_string()):
            raise UsageError(f"{file} has no column {COLUMN!r} of strings.")
        column = schema.names.index(COLUMN)
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        ends = np.cumsum([0, *(group.num_rows for group in groups)])
        of_part = ends[:-1] // DOCUMENTS_PER_PART
        for part in np.unique(of_part):
            numbers = np.flatnonzero(of_part == part).tolist()
            num_bytes = sum(groups[number].column(column).total_uncompressed_size for number in numbers)
            yield RowGroups(f"{file.stem}-{part:03}", file, tuple(numbers), 1 + int(ends[numbers[0]]), num_bytes)


def _make_vocabulary(raw: Path, store: Path, vocab_size: int) -> Part:
    return written_part("vocabulary", {}, gpt2.write_vocabulary(gpt2.read_ranks(raw), store / gpt2.FILE, vocab_size))


def _make_part(store: Path, groups: RowGroups, encoding: tiktoken.Encoding, documents: Documents) -> Part:
    """Writes `<name>.train` and `<name>.validation`, whichever has documents."""
    writers: dict[Split, FileWriter] = {}
    with contextlib.ExitStack() as files:
        for document in groups.read():
            split = documents.split_of(groups.file, document)
            if split not in writers:
                writers[split] = files.enter_context(FileWriter(store / f"{groups.name}.{split}"))
            # What looks like an end of text in a document is text, too.
            tokens = encoding.encode_to_numpy(document, disallowed_special=())
            writers[split].write(np.append(encoding.eot_token, tokens).astype(TOKEN))
    of_sequence = TOKEN.itemsize * (documents.sequence_length + 1)
    examples = {split: writer.size // of_sequence for split, writer in writers.items()}
    return written_part(groups.name, examples, *writers.values())


def _first(parts: tuple[Part, ...], most: Mapping[Split, int]) -> tuple[Part, ...]:
    """The parts with examples of a split until there are `most`."""
    left = dict(most)
    limited = []
    for part in parts:
        examples = {split: min(count, left.get(split, count)) for split, count in part.examples.items()}
        left = {split: count - examples.get(split, 0) for split, count in left.items()}
        limited.append(dataclasses.replace(part, examples=examples))
    return tuple(limited)


def open_split(store: Path, split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    """The sequences of a split, of `data["sequence_length"]` tokens."""
    return open_documents(store, split, num_examples, data, FINEWEBEDU)


def open_documents(
    store: Path, split: Split, num_examples: int, data: Mapping[str, object], documents: Documents
) -> Source:
    """`open_split` of any documents. Of all but train, `num_examples` sequences, evenly spaced over the split.

    Raises UsageError where the vocabulary of the store is not of `data["vocab_size"]` tokens.
    """
    encoding = gpt2.read_encoding(store / gpt2.FILE)
    if encoding.n_vocab != data["vocab_size"]:
        raise UsageError(
            f"{store} has a vocabulary of {encoding.n_vocab:,} tokens and not {data['vocab_size']:,}; prepare it again."
        )
    stored = "train" if split == "eval_train" else split
    length = int(data["sequence_length"]) + 1
    shards = []
    for part in read_manifest(store).of(stored):
        count = part.examples[stored] * (documents.sequence_length + 1) // length
        shards.append(memory_map(store / f"{part.name}.{stored}", TOKEN)[: count * length].reshape(count, length))
    total = sum(len(shard) for shard in shards)
    chosen = evenly_spaced(total, total if split == "train" else min(num_examples, total))
    return SequenceSource(shards, chosen, encoding)


def made_up(split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    """Sequences of random tokens."""
    shape = (MADE_UP_EXAMPLES, int(data["sequence_length"]) + 1)
    tokens = made_up_numbers().integers(int(data["vocab_size"]), size=shape).astype(TOKEN)
    return SequenceSource([tokens], np.arange(num_examples) % MADE_UP_EXAMPLES, NumberTokenizer())


class SequenceSource(RowSource):
    """Sequences by number."""

    def __init__(
        self, shards: list[np.ndarray], chosen: np.ndarray, tokenizer: tiktoken.Encoding | NumberTokenizer
    ) -> None:
        """shards: (n, T + 1) uint16 each. chosen: numbers of sequences, counted through all shards."""
        self._tokenizer = tokenizer
        self._shards = shards
        self._shard_starts = np.cumsum([0, *(len(shard) for shard in shards)])
        self._chosen = chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def read(
        self, indices: np.ndarray, epochs: np.ndarray, rows: slice, size: int, seed: int, pool: ThreadPoolExecutor
    ) -> Batch:
        """inputs, targets (B, T) int32: a sequence's tokens but the last, and but the first."""
        numbers = self._chosen[indices[rows]]
        of_shard = np.searchsorted(self._shard_starts, numbers, side="right") - 1
        where = zip(of_shard.tolist(), (numbers - self._shard_starts[of_shard]).tolist(), strict=True)
        tokens = np.stack([self._shards[shard][row] for shard, row in where]).astype(np.int32)
        return {"inputs": tokens[:, :-1], "targets": tokens[:, 1:]}

    def show(self, number: int) -> Card:
        """The text of a sequence."""
        tokens = read_one(self, number)["inputs"][0].tolist()
        return Card(f"sequence {number:,}, {len(tokens):,} tokens", (text(self._tokenizer.decode(tokens), "en"),))
