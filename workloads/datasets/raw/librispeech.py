"""Where the utterances of LibriSpeech are before they are prepared: in archives as they are given away, or unpacked.

`<subset>.tar.gz`, or `LibriSpeech/<subset>/<reader>/<chapter>/`, which the archive has too; where both are there, the
folder is taken. A chapter holds a recording `<reader>-<chapter>-<number>.flac` for each utterance, 16 kHz and mono, and
`<reader>-<chapter>.trans.txt`, which has a line `<reader>-<chapter>-<number> TRANSCRIPT` for each.
"""

import abc
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import soundfile

from algoperf.benchmark.facts import UsageError
from workloads.datasets.raw.gzip_tar import GzipTar, Place

FOLDER = "LibriSpeech"  # which all archives unpack into
SAMPLE_RATE = 16_000
_TRANSCRIPTS = ".trans.txt"


@dataclasses.dataclass(frozen=True)
class Chapter(abc.ABC):
    """What one person read of one chapter. folder: its path. transcripts: utterance -> what was said, in order."""

    folder: Path
    transcripts: dict[str, str]

    @property
    @abc.abstractmethod
    def num_bytes(self) -> int:
        """Of all its recordings, packed."""

    @abc.abstractmethod
    def recordings(self) -> Iterator[tuple[str, bytes]]:
        """Each utterance with its recording's file, in the order of the transcripts."""


@dataclasses.dataclass(frozen=True)
class _ChapterFolder(Chapter):
    @property
    def num_bytes(self) -> int:
        return sum(file.stat().st_size for file in self.folder.iterdir())

    def recordings(self) -> Iterator[tuple[str, bytes]]:
        for utterance in self.transcripts:
            yield utterance, (self.folder / f"{utterance}.flac").read_bytes()


@dataclasses.dataclass(frozen=True)
class _ArchivedChapter(Chapter):
    archive: GzipTar
    places: dict[str, Place]

    @property
    def num_bytes(self) -> int:
        return sum(place.size for place in self.places.values())

    def recordings(self) -> Iterator[tuple[str, bytes]]:
        """All recordings of a chapter, some 15 MB, are in memory at once: the archive may have another order."""
        by_place = sorted(self.places.items(), key=lambda of_utterance: of_utterance[1])
        contents = dict(zip((name for name, _ in by_place), self.archive.read([p for _, p in by_place]), strict=True))
        for utterance in self.transcripts:
            yield utterance, contents.pop(utterance)


def read_chapters(raw: Path, subset: str) -> list[Chapter]:
    """All chapters of a subset, in the order of their paths.

    Raises UsageError where the subset is missing or has no chapters, and for a transcript that is damaged, or has no
    recording, and for a recording without a transcript.
    """
    for folder in (raw / FOLDER / subset, raw / subset):
        if folder.is_dir():
            chapters = [_in_folder(path) for path in sorted(folder.glob("*/*")) if path.is_dir()]
            if not chapters:
                raise UsageError(f"{folder} has no folders <reader>/<chapter>; is it complete?")
            return chapters
    archive = raw / f"{subset}.tar.gz"
    if archive.is_file():
        return _in_archive(archive, subset)
    raise UsageError(
        f"the archive {archive}, or the folder {FOLDER}/{subset}, is missing; "
        "docs/data.md says how the raw files are laid out."
    )


def _in_folder(folder: Path) -> Chapter:
    file = folder / f"{folder.parent.name}-{folder.name}{_TRANSCRIPTS}"
    if not file.is_file():
        raise UsageError(f"the transcripts {file} are missing; is it complete?")
    recordings = {path.stem for path in folder.glob("*.flac")}
    return _ChapterFolder(folder, _transcripts(file, file.read_bytes(), recordings))


def _in_archive(path: Path, subset: str) -> list[Chapter]:
    archive = GzipTar(path, lambda name: name.endswith(_TRANSCRIPTS))
    of_folder: dict[PurePosixPath, dict[str, Place]] = {}
    for name, place in archive.places.items():
        file = PurePosixPath(name)
        if file.suffix == ".flac" and file.parts[-4:-3] == (subset,):
            of_folder.setdefault(file.parent, {})[file.stem] = place
    if not of_folder:
        raise UsageError(f"{path} has no recordings {FOLDER}/{subset}/<reader>/<chapter>/*.flac; is it that archive?")
    chapters = []
    for folder, places in sorted(of_folder.items()):
        name = folder / f"{folder.parent.name}-{folder.name}{_TRANSCRIPTS}"
        if str(name) not in archive.contents:
            raise UsageError(f"the transcripts {path / name} are missing; is it complete?")
        transcripts = _transcripts(path / name, archive.contents[str(name)], set(places))
        chapters.append(_ArchivedChapter(path / folder, transcripts, archive, places))
    return chapters


def _transcripts(file: Path, content: bytes, recordings: set[str]) -> dict[str, str]:
    """Utterance -> transcript, of a chapter's file. recordings: the utterances that have one."""
    transcripts: dict[str, str] = {}
    for number, utterance, transcript in _lines(file, content):
        if utterance in transcripts:
            raise UsageError(f"line {number} of {file} is a second transcript of {utterance}; get the file again.")
        if utterance not in recordings:
            raise UsageError(f"line {number} of {file} is the transcript of {utterance}.flac, which is missing.")
        transcripts[utterance] = transcript
    if without := recordings - set(transcripts):
        raise UsageError(f"{file.parent / min(without)}.flac has no transcript in {file.name}; get both again.")
    return transcripts


def _lines(file: Path, content: bytes) -> Iterator[tuple[int, str, str]]:
    """The number, from 1 on, the utterance and the transcript of each line."""
    for number, line in enumerate(content.splitlines(), 1):
        try:
            utterance, _, transcript = line.decode().partition(" ")
        except UnicodeDecodeError as error:
            raise UsageError(f"line {number} of {file} is not UTF-8 ({error}); get the file again.") from error
        if not transcript.strip():
            raise UsageError(f"line {number} of {file} has no transcript; get the file again.")
        yield number, utterance, transcript.strip()


def read_recording(file: Path, content: bytes, max_samples: int) -> np.ndarray | None:
    """The samples (n,) int16 of a recording; None where they are more than `max_samples`. file: its name for people.

    Raises UsageError where the file is damaged, empty, or not 16 kHz and mono.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as sound:
            if (sound.samplerate, sound.channels) != (SAMPLE_RATE, 1):
                found = f"sample rate {sound.samplerate:,}, channels {sound.channels}"
                raise UsageError(f"{file} is not of 16 kHz and mono ({found}); get it again.")
            samples = sound.read(max_samples + 1, dtype="int16")
            if not 0 < len(samples) == min(sound.frames, max_samples + 1):
                raise UsageError(f"{file} is cut short: {len(samples):,} of {sound.frames:,} samples; get it again.")
            return samples if len(samples) <= max_samples else None
    except soundfile.SoundFileError as error:
        raise UsageError(f"{file} is damaged or no FLAC file ({error}); get it again.") from error
