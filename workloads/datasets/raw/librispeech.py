"""Where the utterances of LibriSpeech are before they are prepared.

`<subset>/<reader>/<chapter>/` holds a recording `<reader>-<chapter>-<number>.flac` for each utterance, 16 kHz and mono,
and `<reader>-<chapter>.trans.txt`, which has a line `<reader>-<chapter>-<number> TRANSCRIPT` for each.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from algoperf.benchmark.facts import UsageError

FOLDER = "LibriSpeech"  # which all archives unpack into
SAMPLE_RATE = 16_000


@dataclasses.dataclass(frozen=True)
class Chapter:
    """What one person read of one chapter. transcripts: utterance -> what was said, in the order of the file."""

    folder: Path
    transcripts: dict[str, str]


def read_chapters(raw: Path, subset: str) -> list[Chapter]:
    """All chapters of a subset, in the order of their paths.

    Raises UsageError where the folder is missing or has no chapters, and for a transcript that is damaged, or has no
    recording, and for a recording without a transcript.
    """
    for folder in (raw / FOLDER / subset, raw / subset):
        if folder.is_dir():
            chapters = [_read_chapter(path) for path in sorted(folder.glob("*/*")) if path.is_dir()]
            if not chapters:
                raise UsageError(f"{folder} has no folders <reader>/<chapter>; is it complete?")
            return chapters
    raise UsageError(
        f"the folder {raw / FOLDER / subset} is missing; docs/data.md says how the raw files are laid out."
    )


def _read_chapter(folder: Path) -> Chapter:
    file = folder / f"{folder.parent.name}-{folder.name}.trans.txt"
    if not file.is_file():
        raise UsageError(f"the transcripts {file} are missing; is it complete?")
    recordings = {path.stem for path in folder.glob("*.flac")}
    transcripts: dict[str, str] = {}
    for number, utterance, transcript in _lines(file):
        if utterance in transcripts:
            raise UsageError(f"line {number} of {file} is a second transcript of {utterance}; get the file again.")
        if utterance not in recordings:
            raise UsageError(f"line {number} of {file} is the transcript of {utterance}.flac, which is missing.")
        transcripts[utterance] = transcript
    if without := recordings - set(transcripts):
        raise UsageError(f"{folder / min(without)}.flac has no transcript in {file.name}; get both again.")
    return Chapter(folder, transcripts)


def _lines(file: Path) -> Iterator[tuple[int, str, str]]:
    """The number, from 1 on, the utterance and the transcript of each line."""
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            utterance, _, transcript = line.decode().partition(" ")
        except UnicodeDecodeError as error:
            raise UsageError(f"line {number} of {file} is not UTF-8 ({error}); get the file again.") from error
        if not transcript.strip():
            raise UsageError(f"line {number} of {file} has no transcript; get the file again.")
        yield number, utterance, transcript.strip()


def read_recording(file: Path, max_samples: int) -> np.ndarray | None:
    """The samples (n,) int16 of a recording; None where they are more than `max_samples`.

    Raises UsageError where the file is damaged, empty, or not 16 kHz and mono.
    """
    try:
        with soundfile.SoundFile(file) as sound:
            if (sound.samplerate, sound.channels) != (SAMPLE_RATE, 1):
                found = f"sample rate {sound.samplerate:,}, channels {sound.channels}"
                raise UsageError(f"{file} is not of 16 kHz and mono ({found}); get it again.")
            samples = sound.read(max_samples + 1, dtype="int16")
            if not 0 < len(samples) == min(sound.frames, max_samples + 1):
                raise UsageError(f"{file} is cut short: {len(samples):,} of {sound.frames:,} samples; get it again.")
            return samples if len(samples) <= max_samples else None
    except soundfile.SoundFileError as error:
        raise UsageError(f"{file} is damaged or no FLAC file ({error}); get it again.") from error
