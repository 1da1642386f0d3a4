"""Recorded telephone prompts written as LibriSpeech's folders: the mini scale's speech.

The English prompts of the Asterisk telephone exchange: real recordings of one professional speaker, Allison Smith, with
the texts that she read (CC BY-SA 3.0). They are not read books: short, formal and of one voice, and results on them say
nothing about LibriSpeech. The recordings have 8 kHz; they are resampled to 16 kHz, so nothing is heard above 4 kHz.
Preparation and reading are those of LibriSpeech.

No two prompts have the same text. Validation and test are prompts of several words, all of which other prompts have
too: who has heard only these recordings can know how they sound, and no others.
"""

import collections
import gzip
import re
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import soundfile

from algoperf.benchmark.facts import Split, UsageError
from workloads.datasets.librispeech import Corpus, made_up_utterances, open_split, prepare_corpus
from workloads.datasets.raw.librispeech import FOLDER, SAMPLE_RATE
from workloads.datasets.raw.packages import DebianPackage, check_sha256, content_sha256, unpack_debian
from workloads.datasets.source import Source
from workloads.datasets.store import Progress

__all__ = ["fetch", "made_up", "open_split", "prepare"]

WAY_OUT = "unpack both packages elsewhere, into one folder, and give it as --source DIR"
VERSION = "1.6.1-1"
TEXTS = "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
TEXTS_SHA256 = "4a5c1fea255e06020acd67efe37d162d0f0458f685efe578d224449f8e7f0bb4"  # of what it holds
RECORDINGS = "usr/share/asterisk/sounds/en_US_f_Allison"
# Of all .wav files, one after another in the order of their paths.
RECORDINGS_SHA256 = "dca3dba15cf9bd8f236f76d3425ddede456b98668baec7475d3f926941c1fee4"
PACKAGES = (
    DebianPackage(
        name="asterisk-core-sounds-en",
        version=VERSION,
        sha256="973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
        files={TEXTS: TEXTS_SHA256},
    ),
    DebianPackage(
        name="asterisk-core-sounds-en-wav",
        version=VERSION,
        sha256="2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
        files={f"{RECORDINGS}/**/*.wav": RECORDINGS_SHA256},
    ),
)

PROMPTS = Corpus(
    name="asterisk_prompts",
    description="Recorded telephone prompts of one speaker, resampled from 8 kHz: real speech, not LibriSpeech.",
    subsets={"train": ("train-clean-100",), "validation": ("dev-clean",), "test": ("test-clean",)},
    vocab_size=32,  # hardly more than the letters: there is too little speech to learn longer pieces from
    max_characters=256,
    max_samples=4 * SAMPLE_RATE,
    max_tokens=64,
)
HELD_OUT, HELD_OUT_WORDS = 32, 3  # prompts in validation, and as many in test; words in each at least
READER = "allison"
RECORDED_RATE = 8_000
TIMES = SAMPLE_RATE // RECORDED_RATE
DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")


def fetch(raw: Path, source: Path | None) -> Path:
    """Writes 265 prompts below `raw` as FLAC, from the Debian packages or from `source`, where both lie unpacked."""
    if raw.is_dir():
        return raw
    raw.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=raw.parent) as scratch:
        if source is None:
            source = Path(scratch) / "packages"
            for package in PACKAGES:
                unpack_debian(package, source, WAY_OUT)
        prompts = Path(scratch) / "prompts"
        write_prompts(source, prompts)
        prompts.rename(raw)
    return raw


def made_up(split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    return made_up_utterances(num_examples, data, PROMPTS)


def write_prompts(source: Path, raw: Path) -> None:
    """The files of the packages -> LibriSpeech's layout. Raises UsageError for a missing or different file."""
    if not (source / TEXTS).is_file():
        raise UsageError(f"{source} has no {TEXTS}; {WAY_OUT}.")
    check_sha256(source / TEXTS, TEXTS_SHA256)
    _check_recordings(source / RECORDINGS)
    recordings = _usable(gzip.decompress((source / TEXTS).read_bytes()).decode(), source / RECORDINGS)
    for split, transcripts in divided(list(recordings)).items():
        (subset,) = PROMPTS.subsets[split]
        _write_chapter(raw / FOLDER / subset / READER / "prompts", {text: recordings[text] for text in transcripts})


def _check_recordings(folder: Path) -> None:
    if content_sha256(sorted(folder.rglob("*.wav"))) != RECORDINGS_SHA256:
        raise UsageError(f"{folder} has not the recordings of asterisk-core-sounds-en-wav {VERSION}; {WAY_OUT}.")


def _usable(texts: str, folder: Path) -> dict[str, Path]:
    """Transcript -> the first recording of it, of the prompts that are words and not too long.

    Of prompts of one word, only those whose word is in a longer prompt. texts: lines `name: text`, and comments.
    """
    recordings: dict[str, Path] = {}
    for line in texts.splitlines():
        name, _, text = line.partition(":")
        transcript, file = spoken(text), folder / f"{name}.wav"
        if transcript and file.is_file() and TIMES * soundfile.info(file).frames <= PROMPTS.max_samples:
            recordings.setdefault(transcript, file)
    in_sentences = {word for transcript in recordings if " " in transcript for word in transcript.split()}
    return {text: file for text, file in recordings.items() if " " in text or text in in_sentences}


def spoken(text: str) -> str | None:
    """The words of a prompt in capitals, single digits as words; None where it says something else than words."""
    words = re.sub(r"\b\d\b", lambda digit: DIGITS[int(digit[0])], text.upper())
    words = " ".join(re.sub(r'[-.,:;!?"]', " ", words).split())
    return words if re.fullmatch("[A-Z' ]+", words) else None


def divided(transcripts: Sequence[str]) -> dict[Split, list[str]]:
    """The transcripts of each split. Held out, in the order of their checksums, are such of HELD_OUT_WORDS or more as
    leave each of their words in a prompt of train; validation and test take them in turn.
    """
    in_train = collections.Counter(word for text in transcripts for word in set(text.split()))
    held_out: list[str] = []
    for text in sorted(transcripts, key=lambda text: zlib.crc32(text.encode())):
        words = text.split()
        known = all(in_train[word] > 1 for word in words)
        if known and len(words) >= HELD_OUT_WORDS and len(held_out) < 2 * HELD_OUT:
            held_out.append(text)
            in_train.subtract(set(words))
    train = [text for text in transcripts if text not in held_out]
    return {"train": train, "validation": held_out[::2], "test": held_out[1::2]}


def _write_chapter(folder: Path, recordings: Mapping[str, Path]) -> None:
    """recordings: transcript -> file of RECORDED_RATE."""
    import scipy.signal

    folder.mkdir(parents=True)
    prefix = f"{folder.parent.name}-{folder.name}"
    lines = []
    for number, (transcript, file) in enumerate(recordings.items()):
        samples = scipy.signal.resample_poly(soundfile.read(file)[0], TIMES, 1)
        soundfile.write(folder / f"{prefix}-{number:04}.flac", samples, SAMPLE_RATE, subtype="PCM_16")
        lines.append(f"{prefix}-{number:04} {transcript}\n")
    (folder / f"{prefix}.trans.txt").write_text("".join(lines), "utf-8")


def prepare(raw: Path, store: Path, progress: Progress) -> None:
    """Raw recordings -> store."""
    packages = ", ".join(map(str, PACKAGES))
    prepare_corpus(raw, store, progress, PROMPTS, packages)
