"""Telephone prompts as LibriSpeech: what is spoken, who is held out, and the real package."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from algoperf.benchmark.facts import UsageError
from tests.conftest import REPOSITORY
from workloads.datasets import asterisk_prompts
from workloads.datasets.asterisk_prompts import HELD_OUT, HELD_OUT_WORDS, PROMPTS, divided, fetch, spoken
from workloads.datasets.prepare import prepare_dataset
from workloads.datasets.store import read_manifest, verify

DATA = {"max_samples": PROMPTS.max_samples, "max_tokens": PROMPTS.max_tokens}
EXAMPLES = {"train": 201, "validation": 32, "test": 32}


@pytest.fixture(scope="module")
def store() -> Path:
    return prepare_dataset("asterisk_prompts", REPOSITORY / "data", None, lambda what, done, total: None).parent


@pytest.fixture(scope="module")
def batches(store) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Each split whole."""
    with ThreadPoolExecutor(2) as pool:
        return {
            split: asterisk_prompts.open_split(store, split, count, DATA).read(
                np.arange(count), np.zeros(count, int), slice(None), count, 0, pool
            )
            for split, count in EXAMPLES.items()
        }


@pytest.fixture(scope="module")
def transcripts(store, batches) -> dict[str, list[str]]:
    tokenizer = asterisk_prompts.open_split(store, "test", 32, DATA).tokenizer
    return {
        split: [tokenizer.decode(row.astype(int).tolist()) for row in batch["targets"][0]]
        for split, batch in batches.items()
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" Agent Logged off.", "AGENT LOGGED OFF"),
        (" ... using your touchtone keypad.  Don't wait!", "USING YOUR TOUCHTONE KEYPAD DON'T WAIT"),
        (" press 1, or 2 to forward-dial", "PRESS ONE OR TWO TO FORWARD DIAL"),
        (" dial 600", None),
        (" 3D audio enabled", None),
        (" a 28.8 kilobit modem", None),
        (" [this is a simple beep tone]", None),
        (" (10 seconds of silence)", None),
        (" separated by *", None),
        ("", None),
        (" ...", None),
    ],
)
def test_only_words_are_spoken(text, words):
    assert spoken(text) == words


@given(st.lists(st.lists(st.sampled_from("ABCDEFGHIJ"), min_size=1, max_size=5).map(" ".join), unique=True))
def test_what_is_held_out_is_made_of_words_of_train(texts):
    splits = divided(texts)
    held_out = splits["validation"] + splits["test"]
    assert sorted(splits["train"] + held_out) == sorted(texts)
    assert {word for text in held_out for word in text.split()} <= set(" ".join(splits["train"]).split())
    assert all(len(text.split()) >= HELD_OUT_WORDS for text in held_out)
    assert 0 <= len(splits["validation"]) - len(splits["test"]) <= 1
    assert len(splits["validation"]) <= HELD_OUT


def test_the_order_of_the_prompts_does_not_decide_who_is_held_out():
    texts = [f"PRESS {number} {word}" for number in "ABC" for word in ("NOW", "AGAIN", "TO EXIT")]
    assert divided(texts)["validation"] == divided(texts[::-1])["validation"]


def test_the_manifest_says_what_the_data_are(store):
    manifest = read_manifest(store)
    assert "not LibriSpeech" in manifest.description and "resampled from 8 kHz" in manifest.description
    assert all(str(package) in manifest.source for package in asterisk_prompts.PACKAGES)
    assert {split: manifest.examples(split) for split in EXAMPLES} == EXAMPLES
    assert verify(store) == []


def test_no_text_is_spoken_twice(transcripts):
    texts = [text for of_split in transcripts.values() for text in of_split]
    assert len(set(texts)) == len(texts) == 265


def test_all_is_speech_and_some_of_it_is_loud(batches):
    for batch in batches.values():
        audio, paddings = batch["inputs"]
        assert 8_000 < np.abs(audio).max() < 32_768
        assert np.abs(audio).max(axis=1).min() > 2_000
        assert ((1 - paddings).sum(axis=1) > 0.3 * 16_000).all()


def test_every_prompt_has_frames_enough_for_its_pieces(batches):
    """Of 10 ms, subsampled by four; CTC needs one for each piece, and one between equal pieces."""
    for batch in batches.values():
        frames = ((1 - batch["inputs"][1]).sum(axis=1) - 400) // 160 // 4
        ids, paddings = batch["targets"]
        repeated = ((np.diff(ids) == 0) & (paddings[:, 1:] == 0)).sum(axis=1)
        assert (frames >= (1 - paddings).sum(axis=1) + repeated).all()


def test_resampling_keeps_the_sound(tmp_path):
    """A tone of 1 kHz stays one, at the same loudness."""
    times = np.arange(8_000) / 8_000
    soundfile.write(tmp_path / "tone.wav", 0.5 * np.sin(2_000 * np.pi * times), 8_000, subtype="PCM_16")
    asterisk_prompts._write_chapter(tmp_path / "allison/prompts", {"BEEP": tmp_path / "tone.wav"})
    samples, rate = soundfile.read(tmp_path / "allison/prompts/allison-prompts-0000.flac")
    assert (rate, len(samples)) == (16_000, 16_000)
    expected = 0.5 * np.sin(2_000 * np.pi * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(samples[200:-200], expected[200:-200], atol=2e-3)


def test_without_apt_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"no apt-get.* --source DIR"):
        fetch(tmp_path / "raw", None)
    assert not (tmp_path / "raw").exists()


def test_a_source_without_its_files_or_with_others_is_refused(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"core-sounds-en.txt.gz; .* --source DIR"):
        fetch(tmp_path / "raw", tmp_path)
    texts = tmp_path / asterisk_prompts.TEXTS
    texts.parent.mkdir(parents=True)
    texts.write_bytes(b"other texts")
    with pytest.raises(UsageError, match="sha256"):
        fetch(tmp_path / "raw", tmp_path)
    monkeypatch.setattr(asterisk_prompts, "check_sha256", lambda file, sha256: None)
    with pytest.raises(UsageError, match=r"not the recordings of asterisk-core-sounds-en-wav .* --source DIR"):
        fetch(tmp_path / "raw", tmp_path)
    assert not (tmp_path / "raw").exists()
