"""LibriSpeech: recordings as FLAC with transcripts -> samples and numbers of word pieces -> padded batches.

The raw form is that of raw/librispeech.py. Utterances of more than 256 characters or 320,000 samples (20 s) are left
out, which leaves 263,840, 5,348 and 2,472. Word pieces are learnt from the transcripts of train-clean-100.

Store: parts of three files, `<part>.samples` (int16), `<part>.tokens` (uint16) and `<part>.index`, a row an utterance;
and `tokenizer.model`. Source: AlgoPerf v0.6, LibriSpeech pipeline.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from algoperf.benchmark.facts import Split, UsageError
from workloads.datasets import processors
from workloads.datasets.raw.librispeech import SAMPLE_RATE, Chapter, read_chapters, read_recording
from workloads.datasets.sheet.card import Card, sound, spectrogram, text
from workloads.datasets.source import (
    FIRST_PIECE,
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
from workloads.datasets.transforms.sentencepieces import EOS_ID, Tokenizer, train

TOKENIZER = "tokenizer.model"
CHAPTERS_PER_PART = 32  # about 0.6 GB of samples
_STORE_BYTES_PER_RAW_BYTE = 1.9
SAMPLE, TOKEN = np.dtype("<i2"), np.dtype("<u2")
INDEX = np.dtype([("first_sample", "<i8"), ("samples", "<i4"), ("first_token", "<i8"), ("tokens", "<i4")])


@dataclasses.dataclass(frozen=True)
class Corpus:
    """What is prepared, and how. subsets: of each split; word pieces are learnt from the first one of train.

    max_characters, max_samples: what has more is left out. max_tokens: what no transcript that is left may exceed.
    utterances: how many each subset has before that, where it is known.
    """

    name: str
    description: str
    subsets: Mapping[str, tuple[str, ...]]
    vocab_size: int
    max_characters: int
    max_samples: int
    max_tokens: int
    utterances: Mapping[str, int] = dataclasses.field(default_factory=dict)


LIBRISPEECH = Corpus(
    name="librispeech",
    description="LibriSpeech, 960 hours of English audio books.",
    subsets={
        "train": ("train-clean-100", "train-clean-360", "train-other-500"),
        "validation": ("dev-clean", "dev-other"),
        "test": ("test-clean",),
    },
    vocab_size=1_024,
    max_characters=256,
    max_samples=320_000,
    max_tokens=256,
    utterances={
        "train-clean-100": 28_539,
        "train-clean-360": 104_014,
        "train-other-500": 148_688,
        "dev-clean": 2_703,
        "dev-other": 2_864,
        "test-clean": 2_620,
    },
)


def fetch(raw: Path, source: Path | None) -> Path:
    """`source`; the archives have 60 GB."""
    return raw_folder(source, "LibriSpeech")


def prepare(raw: Path, store: Path, progress: Progress) -> None:
    """Raw recordings -> store. All is decoded once, so that a damaged file is named here and not in a trial."""
    prepare_corpus(raw, store, progress, LIBRISPEECH, str(raw))


def prepare_corpus(raw: Path, store: Path, progress: Progress, corpus: Corpus, source: str) -> None:
    """`prepare` for any corpus that comes in LibriSpeech's folders. All transcripts are read before any recording."""
    chapters = _all_chapters(raw, corpus, progress)
    to_learn = functools.partial(_make_tokenizer, store, chapters["train", corpus.subsets["train"][0]], corpus)
    tokenizer = build(store, {"tokenizer": to_learn}, 0, progress)
    makers = {}
    for (split, subset), of_subset in chapters.items():
        for number, start in enumerate(range(0, len(of_subset), CHAPTERS_PER_PART)):
            of_part = of_subset[start : start + CHAPTERS_PER_PART]
            name = f"{subset}-{number:03}"
            makers[name] = functools.partial(_make_part, store, name, split, of_part, corpus)
    raw_bytes = sum(chapter.num_bytes for of_subset in chapters.values() for chapter in of_subset)
    parts = build(store, makers, int(_STORE_BYTES_PER_RAW_BYTE * raw_bytes), progress)
    write_manifest(store, Manifest(corpus.name, corpus.description, source, tokenizer + parts))


def _all_chapters(raw: Path, corpus: Corpus, progress: Progress) -> dict[tuple[Split, str], list[Chapter]]:
    """The chapters of each subset; archives are looked through side by side.

    Raises UsageError where a subset has not the utterances that are known.
    """
    wanted = [(split, subset) for split, subsets in corpus.subsets.items() for subset in subsets]
    found = {}
    progress("read transcripts", 0, len(wanted))
    with ThreadPoolExecutor(processors.available()) as pool:
        jobs = {of: pool.submit(read_chapters, raw, of[1]) for of in wanted}
        for (split, subset), job in jobs.items():
            found[split, subset] = job.result()
            count = sum(len(chapter.transcripts) for chapter in found[split, subset])
            if count != corpus.utterances.get(subset, count):
                raise UsageError(
                    f"{subset} in {raw} has {count:,} utterances and not {corpus.utterances[subset]:,}; is it complete?"
                )
            progress("read transcripts", len(found), len(wanted))
    return found


def _make_tokenizer(store: Path, chapters: Sequence[Chapter], corpus: Corpus) -> Part:
    transcripts = (transcript for chapter in chapters for transcript in chapter.transcripts.values())
    return written_part("tokenizer", {}, train(transcripts, store / TOKENIZER, corpus.vocab_size))


def _make_part(store: Path, name: str, split: Split, chapters: Sequence[Chapter], corpus: Corpus) -> Part:
    """Writes `<name>.samples`, `<name>.tokens` and `<name>.index`, in the order of the transcripts."""
    rows = []
    with (
        FileWriter(store / f"{name}.samples") as samples_file,
        FileWriter(store / f"{name}.tokens") as tokens_file,
        FileWriter(store / f"{name}.index") as index_file,
    ):
        for samples, tokens in _utterances(chapters, Tokenizer(store / TOKENIZER), corpus):
            first_sample, first_token = samples_file.size // SAMPLE.itemsize, tokens_file.size // TOKEN.itemsize
            rows.append((first_sample, len(samples), first_token, len(tokens)))
            samples_file.write(samples)
            tokens_file.write(tokens)
        index_file.write(np.array(rows, INDEX))
    return written_part(name, {split: len(rows)}, samples_file, tokens_file, index_file)


def _utterances(
    chapters: Sequence[Chapter], tokenizer: Tokenizer, corpus: Corpus
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Samples (n,) int16 and tokens (m,) uint16, with the end of the text, of each utterance that is not too long."""
    for chapter in chapters:
        for utterance, content in chapter.recordings():
            transcript = chapter.transcripts[utterance]
            if len(transcript) > corpus.max_characters:
                continue
            recording = chapter.folder / f"{utterance}.flac"
            samples = read_recording(recording, content, corpus.max_samples)
            if samples is None:
                continue
            tokens = tokenizer.encode(transcript)
            if len(tokens) > corpus.max_tokens:
                raise UsageError(
                    f"the transcript of {recording} has {len(tokens)} tokens, more than {corpus.max_tokens}."
                )
            yield samples.astype(SAMPLE, copy=False), np.array(tokens, TOKEN)


def open_split(store: Path, split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    """The utterances of a split, padded to `data["max_samples"]` and `data["max_tokens"]`. eval_train: every n-th of
    train. Raises UsageError where the store has longer ones.
    """
    parts = read_manifest(store).of("train" if split == "eval_train" else split)
    names = [part.name for part in parts if any(part.examples.values())]
    indices = [memory_map(store / f"{name}.index", INDEX) for name in names]
    index, of_part = np.concatenate(indices), np.repeat(np.arange(len(names)), [len(index) for index in indices])
    max_samples, max_tokens = int(data["max_samples"]), int(data["max_tokens"])
    if index["samples"].max() > max_samples or index["tokens"].max() > max_tokens:
        found = f"{index['samples'].max():,} samples or {index['tokens'].max():,} tokens"
        raise UsageError(f"{store} has utterances of {found}, more than {max_samples:,} or {max_tokens:,}.")
    chosen = evenly_spaced(len(index), num_examples)
    return UtteranceSource(
        samples=[memory_map(store / f"{name}.samples", SAMPLE) for name in names],
        tokens=[memory_map(store / f"{name}.tokens", TOKEN) for name in names],
        of_part=of_part[chosen],
        index=index[chosen],
        shape=(max_samples, max_tokens),
        tokenizer=Tokenizer(store / TOKENIZER),
    )


def made_up(split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    return made_up_utterances(num_examples, data, LIBRISPEECH)


def made_up_utterances(num_examples: int, data: Mapping[str, object], corpus: Corpus) -> Source:
    """Utterances of noise. Of the longest, 20 s, LibriSpeech's have 0.6 on average, of which it says four word pieces a
    second: 960 hours in 281,241 utterances, less those that are left out."""
    random, max_samples, max_tokens = made_up_numbers(), int(data["max_samples"]), int(data["max_tokens"])
    lengths = (random.triangular(0.1, 0.82, 0.88, MADE_UP_EXAMPLES) * max_samples).astype(np.int64)
    num_tokens = np.maximum(2, lengths * (80 / 256) * max_tokens // max_samples).astype(np.int64)
    samples = random.integers(-3_000, 3_000, lengths.sum()).astype(SAMPLE)
    tokens = random.integers(FIRST_PIECE, corpus.vocab_size, num_tokens.sum()).astype(TOKEN)
    tokens[np.cumsum(num_tokens) - 1] = EOS_ID
    index = np.empty(MADE_UP_EXAMPLES, INDEX)
    index["first_sample"], index["samples"] = np.cumsum(lengths) - lengths, lengths
    index["first_token"], index["tokens"] = np.cumsum(num_tokens) - num_tokens, num_tokens
    numbers = np.arange(num_examples) % MADE_UP_EXAMPLES
    return UtteranceSource(
        samples=[samples],
        tokens=[tokens],
        of_part=np.zeros(num_examples, np.int64),
        index=index[numbers],
        shape=(max_samples, max_tokens),
        tokenizer=NumberTokenizer(),
    )


class UtteranceSource(RowSource):
    """Utterances by number, as a `Source`. tokenizer: what numbers of targets mean."""

    def __init__(
        self,
        samples: list[np.ndarray],
        tokens: list[np.ndarray],
        of_part: np.ndarray,
        index: np.ndarray,
        shape: tuple[int, int],
        tokenizer: Tokenizer | NumberTokenizer,
    ) -> None:
        """samples, tokens: of each part. of_part, index: of each utterance, which part it is in, and where. shape: how
        many samples and how many tokens a row of a batch has."""
        self.tokenizer = tokenizer
        self._samples = samples
        self._tokens = tokens
        self._of_part = of_part
        self._index = index
        self._shape = shape

    def __len__(self) -> int:
        return len(self._index)

    def read(
        self, indices: np.ndarray, epochs: np.ndarray, rows: slice, size: int, seed: int, pool: ThreadPoolExecutor
    ) -> Batch:
        """inputs: samples (B, S), in the range of int16, and their paddings (B, S); targets: tokens (B, L) with the end
        of the text, and their paddings (B, L). All float32; a padding is 1 behind the end, where the value is 0.
        """
        indices = indices[rows]
        audio, of_audio = (np.empty((len(indices), self._shape[0]), np.float32) for _ in range(2))
        ids, of_ids = (np.empty((len(indices), self._shape[1]), np.float32) for _ in range(2))
        list(pool.map(self._fill, indices, audio, of_audio, ids, of_ids))
        return {"inputs": (audio, of_audio), "targets": (ids, of_ids)}

    def show(self, number: int) -> Card:
        """Spectrogram, sound and transcript."""
        batch = read_one(self, number)
        (audio, of_audio), (ids, of_ids) = batch["inputs"], batch["targets"]
        samples = audio[0][of_audio[0] == 0]
        transcript = self.tokenizer.decode(ids[0][of_ids[0] == 0].astype(int).tolist())
        parts = (spectrogram(samples, SAMPLE_RATE), sound(samples, SAMPLE_RATE), text(transcript, "en"))
        return Card(f"utterance {number:,}, {len(samples) / SAMPLE_RATE:.1f} s", parts)

    def _fill(self, number: int, audio: np.ndarray, of_audio: np.ndarray, ids: np.ndarray, of_ids: np.ndarray) -> None:
        """Writes the row of the utterance `number`: values and paddings."""
        part = self._of_part[number]
        first_sample, samples, first_token, tokens = self._index[number].item()
        _pad(self._samples[part][first_sample : first_sample + samples], audio, of_audio)
        _pad(self._tokens[part][first_token : first_token + tokens], ids, of_ids)


def _pad(values: np.ndarray, row: np.ndarray, paddings: np.ndarray) -> None:
    end = len(values)
    row[:end], row[end:] = values, 0
    paddings[:end], paddings[end:] = 0, 1
