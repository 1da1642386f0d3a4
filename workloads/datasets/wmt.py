"""WMT German-English: parallel text -> numbers of word pieces -> rows of packed pairs.

Raw: the text `train` (WMT17's training corpora), `newstest2013` (validation) and `newstest2014` (test), laid out as
raw/wmt.py says, or the archives of raw/wmt_archives.py. Word pieces are learnt from 10 million characters of the
training text, of both languages.

Store: parts of two files, `<part>.tokens` (uint16), of each pair the source and then the target, each with its end of
text, and `<part>.lengths`, (n, 2) int32; and `tokenizer.model`. All pairs are stored; one in which a text has more than
`max_length` tokens is left out when a split is opened, in evaluation too. Source: AlgoPerf v0.6, WMT pipeline.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from algoperf.benchmark.facts import Split, UsageError
from workloads.datasets.raw.wmt import LANGUAGES, Block, find_blocks, find_texts, sample
from workloads.datasets.raw.wmt_archives import has_archives, write_texts
from workloads.datasets.sheet.card import Card, text
from workloads.datasets.source import (
    FIRST_PIECE,
    MADE_UP_EXAMPLES,
    Batch,
    NumberTokenizer,
    RowSource,
    Source,
    equal_parts,
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
from workloads.datasets.transforms.packing import lay_out, pack
from workloads.datasets.transforms.sentencepieces import EOS_ID, Tokenizer, train

TOKENIZER = "tokenizer.model"
TOKENIZER_CHARS = 10_000_000
TOKEN, LENGTH = np.dtype("<u2"), np.dtype("<i4")
# Of German and of English, with the end of a sentence, and how the logarithm of that is spread: estimates.
TOKENS_PER_SENTENCE, SPREAD = (31, 28), 0.7
_STORE_BYTES_PER_RAW_BYTE = 0.55


@dataclasses.dataclass(frozen=True)
class ParallelText:
    """What is prepared. stems: of the raw files of each split."""

    name: str
    description: str
    stems: Mapping[str, str]
    vocab_size: int


WMT = ParallelText(
    name="wmt",
    description="WMT17 German-English training text, newstest2013 and newstest2014.",
    stems={"train": "train", "validation": "newstest2013", "test": "newstest2014"},
    vocab_size=32_000,
)


def fetch(raw: Path, source: Path | None) -> Path:
    """`source`, or where it has archives, `raw` with the text of them."""
    source = raw_folder(source, "the text of WMT")
    if not has_archives(source) or find_texts(source, WMT.stems["train"]):
        return source
    if not raw.is_dir():
        write_texts(source, raw)
    return raw


def prepare(raw: Path, store: Path, progress: Progress) -> None:
    """Raw text -> store. All of train is looked at, for the word pieces, before anything is encoded."""
    prepare_text(raw, store, progress, WMT, str(raw))


def prepare_text(raw: Path, store: Path, progress: Progress, text: ParallelText, source: str) -> None:
    """`prepare` for any text that comes in WMT's files."""
    blocks = {split: find_blocks(raw, stem) for split, stem in text.stems.items()}
    learn = functools.partial(_make_tokenizer, store, blocks["train"], text.vocab_size)
    tokenizer = build(store, {"tokenizer": learn}, 0, progress)
    makers = {
        block.name: functools.partial(_make_part, store, split, block)
        for split, of_split in blocks.items()
        for block in of_split
    }
    num_bytes = sum(block.num_bytes for of_split in blocks.values() for block in of_split)
    parts = build(store, makers, int(_STORE_BYTES_PER_RAW_BYTE * num_bytes), progress)
    write_manifest(store, Manifest(text.name, text.description, source, tokenizer + parts))


def _make_tokenizer(store: Path, blocks: Sequence[Block], vocab_size: int) -> Part:
    sentences = sample(blocks, TOKENIZER_CHARS)
    return written_part("tokenizer", {}, train(sentences, store / TOKENIZER, vocab_size, TOKENIZER_CHARS))


def _make_part(store: Path, split: Split, block: Block) -> Part:
    """Writes `<name>.tokens` and `<name>.lengths`."""
    texts = Tokenizer(store / TOKENIZER).encode_all([text for pair in block.read() for text in pair])
    with FileWriter(store / f"{block.name}.tokens") as tokens:
        tokens.write(np.fromiter(itertools.chain.from_iterable(texts), TOKEN))
    with FileWriter(store / f"{block.name}.lengths") as lengths:
        lengths.write(np.fromiter(map(len, texts), LENGTH))
    return written_part(block.name, {split: len(texts) // 2}, tokens, lengths)


def open_split(store: Path, split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    """The pairs of a split of at most `data["max_length"]` tokens: packed in train, and otherwise one in a row.

    Of all but train, `num_examples` pairs, evenly spaced over the split. Raises UsageError where every pair is longer.
    """
    names = [part.name for part in read_manifest(store).of("train" if split == "eval_train" else split)]
    max_length = int(data["max_length"])
    pairs = stored_pairs(store, names, max_length)
    if not len(pairs):
        raise UsageError(f"every pair of {split} in {store} has more than max_length = {max_length} tokens.")
    return _source(pairs, split, num_examples, max_length, Tokenizer(store / TOKENIZER))


def _source(
    pairs: "Pairs", split: Split, num_examples: int, max_length: int, tokenizer: Tokenizer | NumberTokenizer
) -> Source:
    if split == "train":
        return PackedPairSource(pairs, max_length, tokenizer)
    numbers = evenly_spaced(len(pairs), min(num_examples, len(pairs)))
    return PairSource(pairs, numbers, max_length, tokenizer)


def made_up(split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    return made_up_pairs(split, num_examples, data, WMT)


def made_up_pairs(split: Split, num_examples: int, data: Mapping[str, object], text: ParallelText) -> Source:
    """Pairs of random tokens: 31 and 28 of them on average, of a skewed distribution, as sentences of WMT17 have."""
    random, max_length = made_up_numbers(), int(data["max_length"])
    means = np.array(TOKENS_PER_SENTENCE) * np.exp(-(SPREAD**2) / 2)
    common = random.normal(0, SPREAD, (MADE_UP_EXAMPLES, 1))  # long sentences have long translations
    lengths = np.clip((means * np.exp(common)).round(), 2, max_length).astype(np.int64)
    tokens = random.integers(FIRST_PIECE, text.vocab_size, lengths.sum()).astype(TOKEN)
    tokens[np.cumsum(lengths) - 1] = EOS_ID
    starts, numbers = np.cumsum(lengths.sum(axis=1)) - lengths.sum(axis=1), np.arange(num_examples) % MADE_UP_EXAMPLES
    pairs = Pairs([tokens], lengths[numbers], starts[numbers])
    return _source(pairs, split, num_examples, max_length, NumberTokenizer())


def stored_pairs(store: Path, names: Sequence[str], max_length: int) -> "Pairs":
    """Those of a split that are short enough. names: of the parts."""
    shards = [memory_map(store / f"{name}.tokens", TOKEN) for name in names]
    lengths = np.concatenate([memory_map(store / f"{name}.lengths", LENGTH, 2) for name in names])
    of_pair = lengths.sum(axis=1)
    short = lengths.max(axis=1) <= max_length
    return Pairs(shards, lengths[short], (np.cumsum(of_pair) - of_pair)[short])


class Pairs:
    """Pairs by number. lengths: (n, 2), tokens of source and target."""

    def __init__(self, shards: Sequence[np.ndarray], lengths: np.ndarray, starts: np.ndarray) -> None:
        """shards: tokens. starts (n,): where each pair begins, counted through all shards."""
        self._shards = shards
        self._shard_starts = np.cumsum([0, *(len(shard) for shard in self._shards)])
        self.lengths = lengths
        self._starts = starts

    def __len__(self) -> int:
        return len(self.lengths)

    def texts(self, numbers: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """`inputs` and `targets`, each with its texts of these pairs: all tokens in a row; (n,), how many of each."""
        lengths, starts = self.lengths[numbers], self._starts[numbers]
        of_shard = np.searchsorted(self._shard_starts, starts, side="right") - 1
        begins = starts - self._shard_starts[of_shard]
        where = zip(of_shard.tolist(), begins.tolist(), (begins + lengths.sum(axis=1)).tolist(), strict=True)
        tokens = np.concatenate([self._shards[shard][begin:end] for shard, begin, end in where])
        of_source = np.repeat(np.tile([True, False], len(numbers)), lengths.ravel())
        yield "inputs", tokens[of_source], lengths[:, 0]
        yield "targets", tokens[~of_source], lengths[:, 1]


class PairSource(RowSource):
    """Pairs by number, a pair in each row."""

    def __init__(self, pairs: Pairs, numbers: np.ndarray, length: int, tokenizer: Tokenizer | NumberTokenizer) -> None:
        """numbers: which of `pairs`. length: of the rows."""
        self.tokenizer = tokenizer
        self._pairs = pairs
        self._numbers = numbers
        self._length = length

    def __len__(self) -> int:
        return len(self._numbers)

    def read(
        self, indices: np.ndarray, epochs: np.ndarray, rows: slice, size: int, seed: int, pool: ThreadPoolExecutor
    ) -> Batch:
        """inputs, targets (B, length) int32, 0 behind the end of a text; weights float32, 1 at the targets' tokens."""
        numbers = self._numbers[indices[rows]]
        batch = {}
        for key, tokens, lengths in self._pairs.texts(numbers):
            batch[key], _, _ = lay_out(tokens, lengths, np.arange(len(numbers)), (len(numbers), self._length))
        return _weighted(batch)

    def show(self, number: int) -> Card:
        """Both sentences."""
        batch = read_one(self, number)
        sides = (self.tokenizer.decode(batch[key][0].tolist()) for key in ("inputs", "targets"))
        parts = tuple(text(side, language) for side, language in zip(sides, LANGUAGES, strict=True))
        return Card(f"pair {number:,}, {int(batch['weights'].sum())} tokens of the target", parts)


class PackedPairSource:
    """Pairs by number, as a `Source`: as many in each row as have room there."""

    block_size = 1

    def __init__(self, pairs: Pairs, length: int, tokenizer: Tokenizer | NumberTokenizer) -> None:
        """length: of the rows."""
        self.tokenizer = tokenizer
        self.lookahead = length // int(pairs.lengths.max(axis=1).min())
        self._pairs = pairs
        self._length = length

    def __len__(self) -> int:
        return len(self._pairs)

    def divide(self, indices: np.ndarray, batch_size: int, world_size: int) -> np.ndarray:
        """A batch of `batch_size` rows; each process has the same number of them."""
        packed_in = pack(self._pairs.lengths[indices], self._length, batch_size)
        return np.searchsorted(packed_in, equal_parts(batch_size, world_size))

    def read(
        self, indices: np.ndarray, epochs: np.ndarray, rows: slice, size: int, seed: int, pool: ThreadPoolExecutor
    ) -> Batch:
        """inputs, targets and weights as of `PairSource`, (size, length). inputs_position, targets_position: where a
        token is in its text, from 0; inputs_segmentation, targets_segmentation: which pair of its row it belongs to,
        from 1; all int32, and 0 where the row has no token."""
        packed_in = pack(self._pairs.lengths[indices[: rows.stop]], self._length, len(indices))[rows]
        batch = {}
        for key, tokens, lengths in self._pairs.texts(indices[rows]):
            arrays = lay_out(tokens, lengths, packed_in - packed_in[0], (size, self._length))
            batch |= dict(zip((key, f"{key}_position", f"{key}_segmentation"), arrays, strict=True))
        return _weighted(batch)


def _weighted(batch: Batch) -> Batch:
    return {**batch, "weights": (batch["targets"] > 0).astype(np.float32)}
