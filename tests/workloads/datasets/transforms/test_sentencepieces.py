"""Text to word pieces and back; the pieces are learnt the same way again."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoperf.benchmark.facts import UsageError
from workloads.datasets.transforms.sentencepieces import EOS_ID, PAD_ID, UNKNOWN_ID, Tokenizer, train

WORDS = ["THE", "QUICK", "BROWN", "FOX", "JUMPS", "OVER", "A", "LAZY", "DOG", "DON'T", "ASK", "WHY", "HE", "SLEEPS"]
VOCAB_SIZE = 40


def sentences(count: int = 200) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(count)]


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    train(sentences(), path, VOCAB_SIZE)
    return path


@given(st.lists(st.sampled_from(WORDS), max_size=20))
def test_a_text_of_known_characters_comes_back(path, words):
    tokenizer = Tokenizer(path)
    ids = tokenizer.encode(" ".join(words))
    assert ids[-1] == EOS_ID
    assert all(UNKNOWN_ID < number < tokenizer.vocab_size and number != EOS_ID for number in ids[:-1])
    assert tokenizer.decode(ids) == " ".join(words)


def test_there_are_as_many_pieces_as_wanted(path):
    assert Tokenizer(path).vocab_size == VOCAB_SIZE


def test_an_empty_text_is_only_its_end(path):
    assert Tokenizer(path).encode("") == [EOS_ID]


def test_padding_and_ends_are_no_text(path):
    tokenizer = Tokenizer(path)
    ids = tokenizer.encode("THE DOG")
    assert tokenizer.decode([PAD_ID, *ids, EOS_ID, PAD_ID]) == "THE DOG"
    assert tokenizer.decode([]) == ""


def test_an_unknown_character_is_one_piece_that_is_not_padding(path):
    ids = Tokenizer(path).encode("A Ж")
    assert ids[-2:] == [UNKNOWN_ID, EOS_ID]
    assert PAD_ID not in ids


def test_a_number_outside_of_the_vocabulary_is_refused(path):
    with pytest.raises(IndexError):
        Tokenizer(path).decode([VOCAB_SIZE])


def test_the_same_text_gives_the_same_file(path, tmp_path):
    writer = train(sentences(), tmp_path / "again.model", VOCAB_SIZE)
    assert (tmp_path / "again.model").read_bytes() == path.read_bytes()
    assert writer.size == path.stat().st_size


def test_only_the_first_characters_are_learnt_from(path, tmp_path):
    text = sentences()
    chars = sum(len(sentence) + 1 for sentence in text)
    train([*text, "Ä Ö Ü"] * 2, tmp_path / "first.model", VOCAB_SIZE, max_chars=chars)
    assert (tmp_path / "first.model").read_bytes() == path.read_bytes()


def test_one_tokenizer_serves_several_threads(path):
    tokenizer = Tokenizer(path)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(tokenizer.encode, sentences() * 5))
    assert found == [tokenizer.encode(sentence) for sentence in sentences()] * 5


@pytest.mark.parametrize("text", [[], ["A"], ["A DOG"] * 100])
def test_too_little_text_is_refused_and_leaves_no_file(tmp_path, text):
    with pytest.raises(UsageError, match="1024 word pieces"):
        train(text, tmp_path / "tokenizer.model", 1_024)
    assert list(tmp_path.iterdir()) == []
