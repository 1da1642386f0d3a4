"""Beam search in JAX: one loop, compiled once, with one decoder pass per token for all beams of a batch.

The twin of `model_beam_search_pytorch.py`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

BEGIN, END = 0, 2

# step(tokens (B, K), ancestors (B, K, T), position, cache) -> logits (B, K, V) of the next tokens, cache.
Step = Callable[[jax.Array, jax.Array, jax.Array, Any], tuple[jax.Array, Any]]


class _State(NamedTuple):
    """B examples, K beams, the best first; what is not there yet scores minus infinity.

    position: how many tokens the live beams have. live, finished: (B, K, T) tokens, 0 where there are none.
    live_scores: (B, K) log probabilities. finished_scores: (B, K), divided by the length penalty. last: (B, K) the live
    beams' last tokens. ancestors: (B, K, T) see `beam_search`.
    """

    position: jax.Array
    live: jax.Array
    live_scores: jax.Array
    last: jax.Array
    ancestors: jax.Array
    finished: jax.Array
    finished_scores: jax.Array
    cache: Any


def beam_search(
    step: Step, cache: Any, batch_size: int, max_length: int, beam_size: int = 4, alpha: float = 0.6
) -> tuple[jax.Array, jax.Array]:
    """The best sentences that end within max_length tokens, (B, K, T), best first, and their scores (B, K).

    A sentence's score is its log probability divided by ((5 + length) / 6)^alpha, its length counting the end (Wu et
    al. 2016). An example without a sentence that ends has its unfinished ones and their log probabilities; the
    reference keeps only the first token of such a one. The search stops when no beam can overtake any example's best
    sentence: only that one is sure to be what a longer search finds.

    step: what follows each beam's last token, BEGIN at first. Beams change places as they are sorted by score; caches
    of earlier tokens need not follow them: ancestors[b, k, t] is the place that beam k had when its token at t was
    given to step, -1 where that is yet to come.
    """
    places = jnp.arange(beam_size)
    nothing = jnp.zeros((batch_size, beam_size, max_length), jnp.int32)
    minus_infinity = jnp.full((batch_size, beam_size), -jnp.inf)
    start = _State(
        position=jnp.int32(0),
        live=nothing,
        live_scores=minus_infinity.at[:, 0].set(0.0),
        last=jnp.full((batch_size, beam_size), BEGIN, jnp.int32),
        ancestors=(nothing - 1).at[:, :, 0].set(places),
        finished=nothing,
        finished_scores=minus_infinity,
        cache=cache,
    )
    penalty = functools.partial(_length_penalty, alpha=alpha)

    def goes_on(state: _State) -> jax.Array:
        # Log probabilities only fall and penalties only rise: this is what the best beam can hope for.
        hope = state.live_scores[:, 0] / penalty(max_length)
        return (state.position < max_length) & jnp.any(hope > state.finished_scores[:, 0])

    def extend(state: _State) -> _State:
        logits, cache = step(state.last, state.ancestors, state.position, state.cache)
        # Twice as many as beams: enough remain where all that end are taken away.
        scores, parents, tokens = _best_continuations(logits, state.live_scores, 2 * beam_size)
        sentences = _pick(state.live, parents).at[:, :, state.position].set(tokens)
        is_end = tokens == END
        live_scores, chosen = jax.lax.top_k(jnp.where(is_end, -jnp.inf, scores), beam_size)
        ancestors = _pick(state.ancestors, _pick(parents, chosen))
        ending_scores = jnp.where(is_end, scores / penalty(state.position + 1), -jnp.inf)
        finished_scores, kept = jax.lax.top_k(jnp.concatenate([state.finished_scores, ending_scores], 1), beam_size)
        return _State(
            position=state.position + 1,
            live=_pick(sentences, chosen),
            live_scores=live_scores,
            last=_pick(tokens, chosen),
            ancestors=ancestors.at[:, :, state.position + 1].set(places),
            finished=_pick(jnp.concatenate([state.finished, sentences], 1), kept),
            finished_scores=finished_scores,
            cache=cache,
        )

    end = jax.lax.while_loop(goes_on, extend, start)
    has_finished = jnp.isfinite(end.finished_scores[:, :1])
    return (
        jnp.where(has_finished[..., None], end.finished, end.live),
        jnp.where(has_finished, end.finished_scores, end.live_scores),
    )


def _length_penalty(length: jax.Array | int, alpha: float) -> jax.Array | float:
    return ((5 + length) / 6) ** alpha


def _best_continuations(
    logits: jax.Array, beam_scores: jax.Array, count: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The log probabilities of an example's `count` likeliest continuations, and which beams and tokens they are."""
    # No example needs more than `count` tokens of a beam, whose log probabilities then are all that are computed.
    best, tokens = jax.lax.top_k(logits, min(count, logits.shape[-1]))
    scores = beam_scores[..., None] + best - jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    scores, chosen = jax.lax.top_k(scores.reshape(len(scores), -1), count)
    return scores, chosen // best.shape[-1], _pick(tokens.reshape(len(tokens), -1), chosen)


def _pick(x: jax.Array, chosen: jax.Array) -> jax.Array:
    """(B, N, ...) -> the chosen of each example's N, (B, M, ...)."""
    return jnp.take_along_axis(x, chosen.reshape(*chosen.shape, *(1,) * (x.ndim - 2)), axis=1)
