"""BLEU is sacreBLEU's for any division into batches, and perplexity is the exponential of the mean loss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from workloads.metrics import bleu, ppl

# Hypotheses and references with the BLEU that the reference implementation gives them (AlgoPerf v0.6, WMT).
ORACLE_HYPOTHESES = [
    "The quick brown fox jumps over the lazy dog.",
    "It costs $3.50, e.g. for 1,000 items - cheap!",
    "Hallo Welt",
    "a",
    'He said: "no" & left.',
]
ORACLE_REFERENCES = [
    "The quick brown fox jumped over the lazy dog.",
    "It costs $3.50 (e.g. for 1,000 items), cheap!",
    "Hello world",
    "a b",
    'He said "no" & left.',
]
ORACLE_BLEU = 61.19944677057787

sentences = st.lists(st.sampled_from(["a", "b", "cat", "3.5", "1,000", "e.g.", "it's", "!", "&quot;", ""]), max_size=9)
corpora = st.lists(st.tuples(sentences, sentences), min_size=1, max_size=12)


class Words:
    """A source whose tokens are words: 3 is the first of `words`, and so on."""

    def __init__(self, words):
        self.words, self.tokenizer = words, self

    def decode(self, ids):
        return " ".join(self.words[number - 3] for number in ids)


def rows(pairs):
    return np.array([bleu.sentence_statistics(*pair) for pair in pairs], np.float64)


def test_bleu_is_the_reference_s():
    found = bleu.result(rows(zip(ORACLE_HYPOTHESES, ORACLE_REFERENCES, strict=True)))
    assert found == pytest.approx(ORACLE_BLEU, abs=1e-9)


@given(corpora)
def test_bleu_is_that_of_sacrebleu(corpus):
    hypotheses, references = zip(*((" ".join(a), " ".join(b)) for a, b in corpus), strict=True)
    expected = BLEU().corpus_score(hypotheses, [references]).score
    assert bleu.result(rows(zip(hypotheses, references, strict=True))) == pytest.approx(expected, abs=1e-9)


@given(corpora, st.integers(1, 5))
def test_bleu_does_not_depend_on_the_batches(corpus, batch_size):
    """Rows of weight 0 fill up the last batch; what stands behind the end of a text counts for nothing."""
    words = sorted({word for pair in corpus for text in pair for word in text if word})
    ids = [[[3 + words.index(word) for word in text if word] for text in pair] for pair in corpus]
    source, length = Words(words), 12
    parts = []
    for start in range(0, len(ids), batch_size):
        translations, targets = np.zeros((2, batch_size, length), np.int32)
        for row, (hypothesis, reference) in enumerate(ids[start : start + batch_size]):
            translations[row, : len(hypothesis) + 2] = [*hypothesis, 2, 3]
            targets[row, : len(reference) + 1] = [*reference, 2]
        weights = (targets > 0).astype(np.float32)
        parts.append(bleu.statistics({"translations": translations}, {"targets": targets, "weights": weights}, source))
    assert all(part.dtype == np.float64 and part.shape[1] == 10 for part in parts)
    texts = [[" ".join(word for word in text if word) for text in pair] for pair in corpus]
    expected = BLEU().corpus_score([pair[0] for pair in texts], [[pair[1] for pair in texts]]).score
    assert bleu.result(np.concatenate(parts)) == pytest.approx(expected, abs=1e-9)


def test_a_translation_that_never_ends_is_taken_whole():
    source, targets = Words(["a", "b", "c", "d"]), np.array([[3, 4, 5, 6, 2]])
    batch = {"targets": targets, "weights": np.ones(targets.shape)}
    endless, ended = np.array([[3, 4, 5, 6, 6]]), np.array([[3, 4, 5, 6, 0]])
    assert bleu.statistics({"translations": endless}, batch, source)[0, 0] == 5
    assert bleu.result(bleu.statistics({"translations": ended}, batch, source)) == pytest.approx(100)


def test_a_batch_without_weight_has_no_rows():
    batch = {"targets": np.zeros((2, 4), int), "weights": np.zeros((2, 4))}
    assert bleu.statistics({"translations": np.zeros((2, 4), int)}, batch, Words([])).shape == (0, 10)


def test_perplexity_is_the_exponential_of_the_mean_loss():
    outputs = [
        {"per_example": np.log([2.0, 8.0]), "n_valid_examples": 2},
        {"per_example": np.log([4.0, 1.0]), "n_valid_examples": 1},
    ]
    parts = [ppl.statistics(output, {}, None) for output in outputs]
    assert ppl.result(np.concatenate(parts)) == pytest.approx(4)
    assert ppl.result(np.array([[1e4, 1.0]])) == np.inf
    assert np.isnan(ppl.result(np.array([[np.nan, 1.0]])))
