"""Word error rates: the reference's with its two words too many, and the true one."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import REPOSITORY
from workloads.datasets.transforms.sentencepieces import Tokenizer, train
from workloads.metrics import wer, wer_true
from workloads.metrics.words import collapsed, edit_distance

ORACLE = json.loads((REPOSITORY / "tests/data/speech/reference_values.json").read_text())
SENTENCES = ["THE QUICK BROWN FOX", "JUMPS OVER THE LAZY DOG", "DON'T DO IT", "THE FOX IS LAZY"]

WORDS = st.lists(st.sampled_from("abc"), max_size=8)


class Spoken:
    """What a metric asks of a source: its tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Spoken:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    train(SENTENCES, path, 34)
    return Spoken(Tokenizer(path))


def padded(rows: list[list[int]], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and paddings, (B, length) float32 both."""
    values, paddings = np.zeros((len(rows), length), np.float32), np.ones((len(rows), length), np.float32)
    for row, number in zip(rows, range(len(rows)), strict=True):
        values[number, : len(row)], paddings[number, : len(row)] = row, 0
    return values, paddings


def example(source: Spoken, heard: list[str], said: list[str], weights=None):
    """Outputs and batch: each piece that was heard lasts for two frames, with a blank behind it."""
    frames = [[part for piece in source.tokenizer.encode(text) for part in (piece, piece, 0)] for text in heard]
    tokens = [source.tokenizer.encode(text) if text else [] for text in said]
    weights = np.ones(len(said)) if weights is None else np.array(weights)
    return {"predictions": padded(frames, 200)[0].astype(int)}, {"targets": padded(tokens, 64), "weights": weights}


def rate(metric, source: Spoken, heard: list[str], said: list[str], weights=None) -> float:
    return metric.result(metric.statistics(*example(source, heard, said, weights), source))


def test_frames_collapse_as_the_reference_s():
    for frames, expected in zip(ORACLE["greedy"]["predictions"], ORACLE["greedy"]["decoded"], strict=True):
        assert collapsed(np.array(frames)).tolist() == expected


def test_a_label_counts_again_behind_a_blank():
    assert collapsed(np.array([0, 3, 3, 0, 3, 5, 5, 3, 0, 0])).tolist() == [3, 3, 5, 3]
    assert collapsed(np.array([], int)).tolist() == []


def test_words_are_those_of_the_reference():
    assert " ".join(wer.words_of_tensor("PVADDH TVS XGYYMB RF NIJ")) == ORACLE["text_of_tensor"]
    assert wer.words_of_tensor("DON'T") == ['tf.Tensor(b"DON\'T",', "shape=(),", "dtype=string)"]


def test_a_wrong_word_of_five_is_a_seventh_for_the_reference_and_a_fifth_in_truth(source):
    said, heard = "JUMPS OVER THE LAZY DOG", "JUMPS OVER THE BROWN DOG"
    outputs, batch = example(source, [heard], [said])
    expected = ORACLE["five_words_one_wrong"]
    assert wer.statistics(outputs, batch, source).tolist() == [[expected["word_errors"], expected["num_words"]]]
    assert wer_true.statistics(outputs, batch, source).tolist() == [[1, expected["true_num_words"]]]


def test_nothing_said_and_nothing_heard_are_three_words_for_the_reference_and_none_in_truth(source):
    outputs, batch = example(source, [""], [""])
    expected = ORACLE["nothing_said"]
    assert wer.statistics(outputs, batch, source).tolist() == [[expected["word_errors"], expected["num_words"]]]
    assert wer_true.statistics(outputs, batch, source).tolist() == [[0, 0]]


def test_the_rate_is_of_all_words_and_not_a_mean_of_rates(source):
    said = ["THE FOX", "JUMPS OVER THE LAZY DOG"]
    assert rate(wer_true, source, ["THE DOG", said[1]], said) == 1 / 7
    assert rate(wer, source, ["THE DOG", said[1]], said) == 1 / 11


def test_more_can_be_wrong_than_was_said(source):
    assert rate(wer_true, source, ["THE QUICK BROWN FOX"], ["DOG"]) == 4


def test_padding_does_not_count(source):
    said = ["THE FOX", "THE DOG"]
    assert rate(wer_true, source, ["THE FOX", "FOX"], said, weights=[1, 0]) == 0
    rows = wer.statistics(*example(source, said, said, weights=[0, 0]), source)
    assert (rows.shape, rows.dtype) == ((0, 2), np.float64)


@given(st.lists(st.tuples(*[st.sampled_from(SENTENCES)] * 2), min_size=1, max_size=6), st.integers(1, 6))
def test_the_result_does_not_depend_on_the_batches(source, pairs, batch_size):
    heard, said = map(list, zip(*pairs, strict=True))
    for metric in (wer, wer_true):
        starts = range(0, len(pairs), batch_size)
        parts = [slice(start, start + batch_size) for start in starts]
        rows = [metric.statistics(*example(source, heard[part], said[part]), source) for part in parts]
        assert metric.result(np.concatenate(rows)) == rate(metric, source, heard, said)


def by_definition(first: list[str], second: list[str]) -> int:
    if not first or not second:
        return len(first) + len(second)
    return min(
        by_definition(first[1:], second[1:]) + (first[0] != second[0]),
        by_definition(first[1:], second) + 1,
        by_definition(first, second[1:]) + 1,
    )


@given(st.lists(st.sampled_from("abc"), max_size=5), st.lists(st.sampled_from("abc"), max_size=5))
def test_the_edit_distance_is_its_definition(first, second):
    assert edit_distance(first, second) == by_definition(first, second)


@given(WORDS, WORDS, WORDS)
def test_the_edit_distance_is_a_distance(first, second, third):
    distance = edit_distance(first, second)
    assert edit_distance(first, first) == 0
    assert distance == edit_distance(second, first)
    assert abs(len(first) - len(second)) <= distance <= max(len(first), len(second))
    assert edit_distance(first, third) <= distance + edit_distance(second, third)


@given(WORDS, st.lists(st.tuples(st.integers(0, 8), st.sampled_from("xyz")), max_size=5))
def test_an_insertion_costs_one(words, insertions):
    longer = list(words)
    for place, word in insertions:
        longer.insert(place, word)
    assert edit_distance(words, longer) == len(insertions)


def test_long_utterances_of_words_of_any_length_are_compared():
    first = [f"word{number}" for number in range(500)]
    assert edit_distance(first, [*first[1:], "a word that is longer than all others"]) == 2
