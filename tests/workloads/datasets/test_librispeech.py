"""LibriSpeech: folders of FLAC files and transcripts as they really are -> padded batches."""

import dataclasses
import gzip
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from algoperf.benchmark.facts import UsageError
from algoperf.trial.input_queue import InputQueue, evaluation_batches
from workloads.datasets import librispeech
from workloads.datasets.librispeech import LIBRISPEECH, TOKENIZER, fetch, open_split, prepare_corpus
from workloads.datasets.raw import gzip_tar
from workloads.datasets.store import read_manifest, verify
from workloads.datasets.transforms.sentencepieces import EOS_ID, Tokenizer

SMALL = dataclasses.replace(
    LIBRISPEECH, vocab_size=40, max_samples=4_000, max_characters=40, max_tokens=42, utterances={}
)
DATA = {"max_samples": 4_000, "max_tokens": 42}
WORDS = ["THE", "QUICK", "BROWN", "FOX", "JUMPS", "OVER", "A", "LAZY", "DOG", "DON'T", "ASK", "WHY", "HE", "SLEEPS"]
SPLIT_OF = {subset: split for split, subsets in SMALL.subsets.items() for subset in subsets}


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def samples_of(length: int, seed: int) -> np.ndarray:
    """A walk through the range of int16, as loud as it can be."""
    steps = np.random.default_rng(seed).integers(-3_000, 3_000, length)
    return np.clip(np.cumsum(steps), -32_768, 32_767).astype(np.int16)


def write_chapter(folder: Path, utterances: list[tuple[np.ndarray, str]]) -> None:
    """`folder`: <subset>/<reader>/<chapter>."""
    folder.mkdir(parents=True)
    prefix = f"{folder.parent.name}-{folder.name}"
    lines = []
    for number, (samples, transcript) in enumerate(utterances):
        soundfile.write(folder / f"{prefix}-{number:04}.flac", samples, 16_000, subtype="PCM_16")
        lines.append(f"{prefix}-{number:04} {transcript}\n")
    (folder / f"{prefix}.trans.txt").write_text("".join(lines))


def sentence(seed: int) -> str:
    rng = np.random.default_rng(seed)
    return " ".join(rng.choice(WORDS, rng.integers(1, 6)))


Utterances = dict[str, list[tuple[np.ndarray, str]]]


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> tuple[Path, Utterances]:
    """A raw folder, and what is in it: 12 utterances in three chapters of two readers of each subset."""
    raw, utterances, seed = tmp_path_factory.mktemp("librispeech"), {}, 0
    for subset, split in SPLIT_OF.items():
        for place in ("19/198", "19/227", "26/495"):
            of_chapter = [(samples_of(500 + 37 * (seed + n), seed + n), sentence(seed + n)) for n in range(4)]
            write_chapter(raw / "LibriSpeech" / subset / place, of_chapter)
            utterances.setdefault(split, []).extend(of_chapter)
            seed += 4
    return raw, utterances


@pytest.fixture
def raw(written, tmp_path) -> Path:
    """A copy that may be damaged."""
    return shutil.copytree(written[0], tmp_path / "raw")


@pytest.fixture
def prepare(monkeypatch):
    monkeypatch.setattr(librispeech, "CHAPTERS_PER_PART", 2)

    def prepare(raw: Path, store: Path, corpus=SMALL, progress=quiet) -> Path:
        prepare_corpus(raw, store, progress, corpus, "the test")
        return store

    return prepare


@pytest.fixture
def store(written, prepare, tmp_path) -> Path:
    return prepare(written[0], tmp_path / "store")


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def read(source, indices, pool) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    indices = np.asarray(indices)
    return source.read(indices, np.zeros_like(indices), slice(None), len(indices), 0, pool)


def chapter(raw: Path, subset: str = "train-clean-360") -> Path:
    return raw / "LibriSpeech" / subset / "19/198"


def transcripts(raw: Path) -> Path:
    return chapter(raw) / "19-198.trans.txt"


def recording(raw: Path) -> Path:
    return chapter(raw) / "19-198-0002.flac"


def count(split: str) -> int:
    return 12 * list(SPLIT_OF.values()).count(split)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_utterance_is_read_as_it_was_recorded(written, store, pool, split):
    source = open_split(store, split, count(split), DATA)
    assert len(source) == read_manifest(store).examples(split) == count(split)
    batch = read(source, np.arange(count(split)), pool)
    (audio, of_audio), (ids, of_ids) = batch["inputs"], batch["targets"]
    assert all(array.dtype == np.float32 for array in (audio, of_audio, ids, of_ids))
    assert audio.shape == of_audio.shape == (count(split), 4_000)
    assert ids.shape == of_ids.shape == (count(split), 42)
    for number, (samples, transcript) in enumerate(written[1][split]):
        assert np.array_equal(audio[number], np.pad(samples, (0, 4_000 - len(samples))))
        assert np.array_equal(of_audio[number], np.arange(4_000) >= len(samples))
        end = int((1 - of_ids[number]).sum())
        assert np.array_equal(of_ids[number], np.arange(42) >= end)
        assert ids[number, end - 1] == EOS_ID
        assert not ids[number, end:].any()
        assert source.tokenizer.decode(ids[number].astype(int).tolist()) == transcript


def test_word_pieces_are_learnt_from_the_first_subset_of_train(raw, store, prepare, tmp_path):
    for subset in SPLIT_OF:
        if subset != "train-clean-100":
            lines = (chapter(raw, subset) / "19-198.trans.txt").read_text().replace(" ", " Z", 1)
            (chapter(raw, subset) / "19-198.trans.txt").write_text(lines)
    others = prepare(raw, tmp_path / "others")
    assert (others / TOKENIZER).read_bytes() == (store / TOKENIZER).read_bytes()
    assert Tokenizer(store / TOKENIZER).vocab_size == 40


def test_a_recording_or_transcript_that_is_too_long_is_left_out(raw, prepare, tmp_path, pool):
    """At the limit and one more, of both."""
    edges = [
        (samples_of(4_000, 0), "THE DOG"),
        (samples_of(4_001, 1), "THE FOX"),
        (samples_of(900, 2), "A FOX " * 5 + "A LAZY DOG"),
        (samples_of(901, 3), "A FOX " * 5 + "THE LAZY DO"),
    ]
    assert [len(transcript) for _, transcript in edges[2:]] == [40, 41]
    write_chapter(raw / "LibriSpeech/test-clean/7/1", edges)
    store = prepare(raw, tmp_path / "store")
    assert read_manifest(store).examples("test") == 12 + 2
    batch = read(open_split(store, "test", 14, DATA), [12, 13], pool)
    assert np.array_equal(batch["inputs"][0][0], edges[0][0])
    assert not batch["inputs"][1][0].any()
    assert np.array_equal(batch["inputs"][0][1, :900], edges[2][0])


def test_a_part_that_is_left_out_whole_is_no_hindrance(raw, prepare, tmp_path, pool):
    for reader in ("1/1", "1/2"):
        write_chapter(raw / "LibriSpeech/dev-clean" / reader, [(samples_of(4_001, 1), "THE FOX")])
    store = prepare(raw, tmp_path / "store")
    assert len(read(open_split(store, "validation", 24, DATA), range(24), pool)["inputs"][0]) == 24


def test_the_limits_of_the_benchmark():
    assert (LIBRISPEECH.vocab_size, LIBRISPEECH.max_tokens) == (1_024, 256)
    assert (LIBRISPEECH.max_characters, LIBRISPEECH.max_samples) == (256, 320_000)
    assert SPLIT_OF == {
        "train-clean-100": "train",
        "train-clean-360": "train",
        "train-other-500": "train",
        "dev-clean": "validation",
        "dev-other": "validation",
        "test-clean": "test",
    }


def test_the_folder_of_the_subsets_may_be_given_itself(raw, store, prepare, tmp_path):
    inside = prepare(raw / "LibriSpeech", tmp_path / "inside")
    assert read_manifest(inside) == read_manifest(store)


def test_eval_train_is_every_third_of_train(store, pool):
    batch = read(open_split(store, "eval_train", 12, DATA), np.arange(12), pool)
    of_train = read(open_split(store, "train", 36, DATA), np.arange(0, 36, 3), pool)
    for key in ("inputs", "targets"):
        assert all(np.array_equal(*pair) for pair in zip(batch[key], of_train[key], strict=True))


def test_every_process_reads_its_rows(store, pool):
    source = open_split(store, "train", 36, DATA)
    indices = np.random.default_rng(0).integers(36, size=16)
    together = read(source, indices, pool)
    ends = source.divide(indices, 16, 4)
    zeros = np.zeros_like(indices)
    parts = [source.read(indices, zeros, slice(*rows), 4, 0, pool) for rows in itertools.pairwise(ends)]
    for key in ("inputs", "targets"):
        for which in range(2):
            assert np.array_equal(np.concatenate([part[key][which] for part in parts]), together[key][which])


def test_a_queue_goes_on_from_its_position(store):
    source = open_split(store, "train", 36, DATA)
    first = InputQueue(source, 8, seed=3, place=dict)
    batches = [next(first) for _ in range(6)]  # into the second epoch
    first.close()
    assert first.position == 48
    again = InputQueue(source, 8, seed=3, place=dict, position=32)
    for batch in batches[4:]:
        found = next(again)
        for key in ("inputs", "targets"):
            assert all(np.array_equal(*pair) for pair in zip(found[key], batch[key], strict=True))
    again.close()


def test_an_evaluation_sees_every_utterance_once(store):
    source = open_split(store, "test", 12, DATA)
    batches = list(evaluation_batches(source, 5))
    weights = np.concatenate([batch["weights"] for batch in batches])
    lengths = np.concatenate([(1 - batch["inputs"][1]).sum(axis=1) for batch in batches])[weights > 0]
    assert weights.sum() == 12
    assert len(set(lengths.tolist())) == 12


def test_a_store_of_longer_utterances_than_the_workload_s_is_refused(store):
    for data in ({**DATA, "max_samples": 1_000}, {**DATA, "max_tokens": 4}):
        with pytest.raises(UsageError, match="has utterances of"):
            open_split(store, "train", 36, data)


KILLED_AFTER_TWO_PARTS = """
import os, signal, sys
from pathlib import Path
from tests.workloads.datasets.test_librispeech import SMALL
from workloads.datasets import librispeech

def progress(what, done, total):
    if (done, total) == (2, 18):
        os.kill(os.getpid(), signal.SIGKILL)

raw, store = map(Path, sys.argv[1:])
librispeech.CHAPTERS_PER_PART = 1
librispeech.prepare_corpus(raw, store, progress, SMALL, "the test")
"""


def test_a_killed_preparation_goes_on_where_it_stopped(written, prepare, tmp_path, monkeypatch):
    monkeypatch.setattr(librispeech, "CHAPTERS_PER_PART", 1)
    store = tmp_path / "store"
    killed = subprocess.run([sys.executable, "-c", KILLED_AFTER_TWO_PARTS, str(written[0]), str(store)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (store / "manifest.json").exists()
    names = [record.stem for record in (store / "parts").glob("*.json") if record.stem != "tokenizer"]
    assert 2 <= len(names) < 18
    files = [store / TOKENIZER, *(store / f"{name}.samples" for name in names)]
    before = [(os.stat(file).st_ino, os.stat(file).st_mtime_ns) for file in files]
    reported = []
    prepare(written[0], store, progress=lambda what, done, total: reported.append((done, total)))
    assert reported == [*((done, 6) for done in range(7)), (1, 1), *((done, 18) for done in range(len(names), 19))]
    assert [(os.stat(file).st_ino, os.stat(file).st_mtime_ns) for file in files] == before
    assert read_manifest(store) == read_manifest(prepare(written[0], tmp_path / "uninterrupted"))
    assert verify(store) == []


def replaced(old: bytes, new: bytes):
    """Damages the transcripts of a chapter."""

    def damage(raw: Path) -> None:
        content = transcripts(raw).read_bytes()
        assert old in content
        transcripts(raw).write_bytes(content.replace(old, new, 1))

    return damage


def second_line_without_text(raw: Path) -> None:
    lines = transcripts(raw).read_text().splitlines()
    lines[1] = "19-198-0001  "
    transcripts(raw).write_text("\n".join(lines))


def recorded_as(rate: int, channels: int):
    def damage(raw: Path) -> None:
        soundfile.write(recording(raw), np.zeros((100, channels), np.int16), rate, subtype="PCM_16")

    return damage


def without_readers(raw: Path) -> None:
    for reader in chapter(raw).parents[1].iterdir():
        shutil.rmtree(reader)


def with_a_wrong_byte(raw: Path) -> None:
    content = bytearray(recording(raw).read_bytes())
    content[len(content) // 2] ^= 0xFF
    recording(raw).write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda raw: os.truncate(recording(raw), recording(raw).stat().st_size // 2), "19-198-0002.flac is damaged"),
        (lambda raw: os.truncate(recording(raw), 0), "19-198-0002.flac is damaged"),
        (lambda raw: recording(raw).write_bytes(b"no FLAC"), "19-198-0002.flac is damaged"),
        (with_a_wrong_byte, "19-198-0002.flac is damaged"),
        (recorded_as(8_000, 1), r"0002.flac is not of 16 kHz and mono \(sample rate 8,000, channels 1\)"),
        (recorded_as(16_000, 2), r"0002.flac is not of 16 kHz and mono \(sample rate 16,000, channels 2\)"),
        (lambda raw: recording(raw).unlink(), r"line 3 of .*19-198.trans.txt .* 19-198-0002.flac, which is missing"),
        (replaced(b"19-198-0002", b"19-198-0007"), r"line 3 of .*19-198-0007.flac, which is missing"),
        (replaced(b"19-198-0002", b"19-198-0001"), r"line 3 of .* second transcript of 19-198-0001"),
        (lambda raw: transcripts(raw).unlink(), r"19-198.trans.txt are missing"),
        (lambda raw: (chapter(raw) / "19-198-0009.flac").touch(), r"19-198-0009.flac has no transcript"),
        (second_line_without_text, r"line 2 of .*19-198.trans.txt has no transcript"),
        (replaced(b"\n", b"\n\n"), r"line 2 of .*19-198.trans.txt has no transcript"),
        (replaced(b"19-198-0003 ", b"19-198-0003 \xff"), r"line 4 of .*19-198.trans.txt is not UTF-8"),
        (lambda raw: shutil.rmtree(chapter(raw).parents[1]), "train-clean-360.tar.gz, or .* is missing"),
        (without_readers, "no folders <reader>"),
        (lambda raw: chapter(raw, "dev-other").joinpath("19-198.trans.txt").write_bytes(b""), "has no transcript"),
    ],
)
def test_what_is_damaged_is_named(raw, prepare, tmp_path, damage, words):
    damage(raw)
    with pytest.raises(UsageError, match=words):
        prepare(raw, tmp_path / "store")
    assert not (tmp_path / "store/manifest.json").exists()


def test_a_transcript_of_too_many_tokens_is_named(raw, prepare, tmp_path):
    with pytest.raises(UsageError, match=r"flac has \d+ tokens, more than 10"):
        prepare(raw, tmp_path / "store", dataclasses.replace(SMALL, max_tokens=10))


def test_without_the_archives_the_way_to_them_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"docs/data.md.*--source DIR"):
        fetch(tmp_path, None)
    assert fetch(tmp_path / "raw", tmp_path) == tmp_path


def packed(raw: Path, folder: Path) -> Path:
    """Each subset as the archive that is given away, its files in no order, the transcripts somewhere between."""
    folder.mkdir()
    for subset in SPLIT_OF:
        files = sorted(file for file in (raw / "LibriSpeech" / subset).rglob("*") if file.is_file())
        np.random.default_rng(1).shuffle(files)
        with tarfile.open(folder / f"{subset}.tar.gz", "w:gz") as archive:
            for file in files:
                archive.add(file, file.relative_to(raw))
    return folder


@pytest.fixture
def many_points(monkeypatch):
    """Points in small archives, too."""
    monkeypatch.setattr(gzip_tar, "_LEAST_APART", 1_000)
    monkeypatch.setattr(gzip_tar, "_CHUNK", 512)


def test_archives_where_they_lie_give_the_store_of_their_folders(written, store, prepare, tmp_path, many_points):
    archives = packed(written[0], tmp_path / "archives")
    assert read_manifest(prepare(archives, tmp_path / "other")).parts == read_manifest(store).parts
    assert {file.suffixes[-1] for file in archives.iterdir()} == {".gz"}


def test_an_archive_has_a_point_every_so_often(written, tmp_path, many_points):
    archive = packed(written[0], tmp_path / "archives") / "dev-clean.tar.gz"
    opened = gzip_tar.GzipTar(archive, lambda name: name.endswith(".trans.txt"))
    assert 5 < len(opened._points) <= archive.stat().st_size // 1_000 + 1
    assert len(opened.contents) == 3
    for name in reversed(opened.places):
        (content,) = opened.read([opened.places[name]])
        assert content == (written[0] / name).read_bytes()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: os.truncate(path, path.stat().st_size - 9), "dev-other.tar.gz is damaged or cut short"),
        (lambda path: os.truncate(path, path.stat().st_size // 2), "dev-other.tar.gz is damaged or cut short"),
        (lambda path: path.write_bytes(b"<html>no</html>"), "dev-other.tar.gz is damaged or cut short"),
        (lambda path: path.write_bytes(gzip.compress(bytes(10_240))), "dev-other.tar.gz has no recordings"),
        (
            lambda path: shutil.copy(path.with_name("dev-clean.tar.gz"), path),
            "has no recordings .*; is it that archive",
        ),
    ],
)
def test_a_damaged_archive_is_named_before_anything_is_written(written, prepare, tmp_path, damage, reason):
    archives = packed(written[0], tmp_path / "archives")
    damage(archives / "dev-other.tar.gz")
    with pytest.raises(UsageError, match=reason):
        prepare(archives, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_subset_of_too_few_utterances_is_refused_at_once(written, prepare, tmp_path):
    corpus = dataclasses.replace(SMALL, utterances={"dev-clean": 13})
    with pytest.raises(UsageError, match=r"dev-clean in .* has 12 utterances and not 13; is it complete"):
        prepare(written[0], tmp_path / "store", corpus)
    assert not (tmp_path / "store").exists()
