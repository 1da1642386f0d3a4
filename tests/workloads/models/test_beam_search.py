"""Beam search in both frameworks: the reference's numbers, every sentence that there is, and no cache."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from algoperf import load_workload
from algoperf.backends import load_backend
from algoperf.benchmark.facts import ForwardPassMode
from tests.conftest import REPOSITORY
from tests.support.nightly import TWINS, of_bases
from workloads.wmt import model_beam_search_jax, model_beam_search_pytorch

# The reference's JAX beam search on a toy language model: logits = T1[last token] + sin(position) * T2[last token].
# Sentences begin with a 0, best last. Made with AlgoPerf v0.6 (JAX 0.7.0).
REFERENCE = np.load(REPOSITORY / "tests" / "data" / "beam_search.npz")
END = 2


def search_jax(tables, batch_size, max_length, **options):
    """What `beam_search` finds, and how often it asked what follows."""
    passes = []

    def step(tokens, ancestors, position, cache):
        jax.debug.callback(passes.append, position)
        first, second = map(jnp.asarray, tables)
        return first[tokens] + jnp.sin(position.astype(jnp.float32)) * second[tokens], cache

    search = jax.jit(lambda: model_beam_search_jax.beam_search(step, (), batch_size, max_length, **options))
    sentences, scores = jax.device_get(search())
    jax.effects_barrier()
    return sentences, scores, len(passes)


def search_pytorch(tables, batch_size, max_length, **options):
    passes = []

    def step(tokens, ancestors, position, cache):
        passes.append(position)
        first, second = map(torch.tensor, tables)
        return first[tokens] + np.sin(np.float32(position)) * second[tokens], cache

    sentences, scores = model_beam_search_pytorch.beam_search(step, (), batch_size, max_length, **options)
    return sentences.numpy(), scores.numpy(), len(passes)


SEARCHES = {"jax": search_jax, "pytorch": search_pytorch}


def every_sentence(tables, max_length):
    """Every sentence that ends in time with its score, best first."""
    first, second = tables
    found = []
    for length in range(1, max_length + 1):
        for words in itertools.product([token for token in range(len(first)) if token != END], repeat=length - 1):
            sentence, score = (*words, END), 0.0
            for position, (last, token) in enumerate(itertools.pairwise((0, *sentence))):
                logits = first[last] + np.sin(position) * second[last]
                score += logits[token] - np.log(np.exp(logits).sum())
            found.append((score / ((5 + length) / 6) ** 0.6, sentence))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("framework", SEARCHES)
def test_all_beams_are_the_references(framework):
    tables = REFERENCE["T1"], REFERENCE["T2"]
    sentences, scores, _ = SEARCHES[framework](tables, batch_size=3, max_length=15)
    for example in range(3):
        np.testing.assert_array_equal(sentences[example], REFERENCE["sentences"][::-1, 1:])
        np.testing.assert_allclose(scores[example], REFERENCE["scores"][::-1], rtol=1e-6)


@pytest.mark.parametrize("framework", SEARCHES)
@pytest.mark.parametrize("seed", range(3))
def test_with_enough_beams_the_best_of_all_sentences_is_found(framework, seed):
    tables = np.random.default_rng(seed).standard_normal((2, 4, 4)).astype(np.float32)
    sentences, scores, _ = SEARCHES[framework](tables, batch_size=1, max_length=4, beam_size=81)
    best_score, best = every_sentence(tables, max_length=4)[0]
    assert [*best, 0, 0, 0, 0][:4] == sentences[0, 0].tolist()
    assert scores[0, 0] == pytest.approx(best_score, rel=1e-5)


@pytest.mark.parametrize("framework", TWINS)
def test_a_longer_limit_costs_nothing_once_no_beam_can_win(framework):
    tables = REFERENCE["T1"], REFERENCE["T2"]
    short, short_scores, _ = SEARCHES[framework](tables, batch_size=2, max_length=40)
    long, long_scores, num_passes = SEARCHES[framework](tables, batch_size=2, max_length=400)
    np.testing.assert_array_equal(long[:, 0, :40], short[:, 0])
    np.testing.assert_array_equal(long_scores[:, 0], short_scores[:, 0])
    assert num_passes <= 48


@pytest.mark.parametrize("framework", SEARCHES)
def test_where_no_sentence_ends_the_likeliest_beginning_is_kept_whole(framework):
    first = np.array([[0, 1, -99, 3], [0, 1, -99, 2], [0, 0, 0, 0], [0, 2, -99, 1]], np.float32)
    sentences, _, num_passes = SEARCHES[framework]((first, 0 * first), batch_size=1, max_length=3, beam_size=1)
    assert sentences[0, 0].tolist() == [3, 1, 3]
    assert num_passes == 3


SMALL = dict(vocab_size=12, width=32, depth=1, mlp_dim=32, num_heads=2)
LENGTH = 8


def sentences_and_reversed(size, seed):
    """Sources and their translations into what is read backwards: (size, LENGTH) each."""
    random = np.random.default_rng(seed)
    sources, targets = np.zeros((2, size, LENGTH), np.int32)
    for source, target, length in zip(sources, targets, random.integers(1, LENGTH - 1, size), strict=True):
        words = random.integers(3, SMALL["vocab_size"], length)
        source[: length + 1] = [*words, END]
        target[: length + 1] = [*words[::-1], END]
    return {"inputs": sources, "targets": targets}


small_workload = functools.cache(functools.partial(load_workload, model=SMALL))


@functools.cache
def half_trained(name):
    """Weights, by canonical name, that have begun to learn: translations differ, and most of them end."""
    torch.manual_seed(0)
    workload = small_workload(name, "pytorch")
    model, _ = workload.init_model_fn(np.array([0, 0]))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(200):
        batch = {key: torch.tensor(array) for key, array in sentences_and_reversed(32, seed=step).items()}
        logits, _ = workload.model_fn(model, batch, None, ForwardPassMode.TRAIN, None, False, dropout_rate=0.0)
        loss = workload.loss_fn(batch["targets"], logits, (batch["targets"] > 0).float())
        optimizer.zero_grad()
        (loss["summed"] / loss["n_valid_examples"]).backward()
        optimizer.step()
    return workload.to_canonical(model, None)


def translate(name, framework, sources):
    workload = small_workload(name, framework)
    params, state = workload.from_canonical(half_trained(name))
    batch = {"inputs": sources, "targets": sources, "weights": np.ones(sources.shape, np.float32)}
    key = load_backend(framework).prng_key(0)
    return workload.forward_for_evaluation(params, batch, state, key, frozenset({"translations"}))["translations"]


def translate_without_caches(name, source, beam_size=4, alpha=0.6):
    """The same for one sentence by a whole pass through the model for each token, up to the last length."""
    workload = small_workload(name, "pytorch")
    model, _ = workload.from_canonical(half_trained(name))

    def next_log_probs(beams):
        targets = torch.tensor([[*tokens, *[1] * (len(source) - len(tokens))] for _, tokens in beams])
        inputs = torch.tensor(source).expand(len(beams), -1)
        batch = {"inputs": inputs, "targets": targets, "targets_segmentation": torch.ones_like(targets)}
        logits, _ = workload.model_fn(model, batch, None, ForwardPassMode.EVAL, None, False)
        return logits[:, len(beams[0][1])].log_softmax(-1).numpy()

    beams, finished = [(0.0, [])], []
    for length in range(1, len(source) + 1):
        continued = [
            (score + log_prob, [*tokens, token])
            for (score, tokens), log_probs in zip(beams, next_log_probs(beams), strict=True)
            for token, log_prob in enumerate(log_probs)
        ]
        best = sorted(continued, reverse=True)[: 2 * beam_size]
        finished += [(score / ((5 + length) / 6) ** alpha, tokens) for score, tokens in best if tokens[-1] == END]
        beams = [beam for beam in best if beam[1][-1] != END][:beam_size]
    _, tokens = max(finished or beams)
    return [*tokens, *[0] * (len(source) - len(tokens))]


@pytest.mark.parametrize("framework", TWINS)
@pytest.mark.landing("translations of a whole model")
@pytest.mark.parametrize("name", of_bases(["wmt", "wmt_post_ln"]))
def test_translations_are_those_of_a_search_without_caches(name, framework):
    sources = sentences_and_reversed(6, seed=1_000)["inputs"]
    expected = [translate_without_caches(name, source) for source in sources]
    assert sum(END in tokens for tokens in expected) > 3
    translations = translate(name, framework, sources)
    assert translations.tolist() == expected
    assert translations.dtype == np.int32


@pytest.mark.parametrize("framework", TWINS)
def test_a_translation_is_independent_of_its_batch_and_of_padding(framework):
    sources, others = (sentences_and_reversed(6, seed)["inputs"] for seed in (1_000, 1_001))
    together = translate("wmt", framework, sources)
    with_others = translate("wmt", framework, np.concatenate([others[:4], sources[:2]]))
    np.testing.assert_array_equal(with_others[4:], together[:2])
    padded = translate("wmt", framework, np.pad(sources, ((0, 0), (0, 3))))
    ends = (together == END).any(axis=1)
    assert ends.sum() > 3
    np.testing.assert_array_equal(padded[ends, :LENGTH], together[ends])
