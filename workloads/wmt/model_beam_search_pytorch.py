"""Beam search in PyTorch: one decoder pass per token for all beams of a batch.

The twin of `model_beam_search_jax.py`.
"""

from collections.abc import Callable
from typing import Any

import torch

BEGIN, END = 0, 2

# The host waits for the device only after so many tokens: a search that goes on too long finds nothing else.
_ASKED_EVERY = 8

# step(tokens (B, K), ancestors (B, K, T), position, cache) -> logits (B, K, V) of the next tokens, cache.
Step = Callable[[torch.Tensor, torch.Tensor, int, Any], tuple[torch.Tensor, Any]]


def beam_search(
    step: Step,
    cache: Any,
    batch_size: int,
    max_length: int,
    beam_size: int = 4,
    alpha: float = 0.6,
    device: torch.device | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The best sentences that end within max_length tokens, (B, K, T), best first, and their scores (B, K).

    See the twin, whose state's names are the names here.
    """
    shape = (batch_size, beam_size)
    live = torch.zeros(*shape, max_length, dtype=torch.int32, device=device)
    finished = torch.zeros_like(live)
    live_scores = torch.full(shape, -torch.inf, device=device)
    finished_scores = live_scores.clone()
    live_scores[:, 0] = 0.0
    last = torch.full(shape, BEGIN, dtype=torch.int32, device=device)
    ancestors = torch.full_like(live, -1)
    places = torch.arange(beam_size, dtype=torch.int32, device=device)
    for position in range(max_length):
        if position % _ASKED_EVERY == 0:
            # Log probabilities only fall and penalties only rise: this is what the best beam can hope for.
            hope = live_scores[:, 0] / _length_penalty(max_length, alpha)
            if not (hope > finished_scores[:, 0]).any():
                break
        ancestors[:, :, position] = places
        logits, cache = step(last, ancestors, position, cache)
        # Twice as many as beams: enough remain where all that end are taken away.
        scores, parents, tokens = _best_continuations(logits, live_scores, 2 * beam_size)
        sentences = _pick(live, parents)
        sentences[:, :, position] = tokens
        is_end = tokens == END
        live_scores, chosen = scores.masked_fill(is_end, -torch.inf).topk(beam_size)
        live, last, ancestors = (
            _pick(sentences, chosen),
            _pick(tokens, chosen),
            _pick(ancestors, _pick(parents, chosen)),
        )
        ending_scores = (scores / _length_penalty(position + 1, alpha)).masked_fill(~is_end, -torch.inf)
        finished_scores, kept = torch.cat([finished_scores, ending_scores], 1).topk(beam_size)
        finished = _pick(torch.cat([finished, sentences], 1), kept)
    has_finished = finished_scores[:, :1].isfinite()
    return (
        torch.where(has_finished[..., None], finished, live),
        torch.where(has_finished, finished_scores, live_scores),
    )


def _length_penalty(length: int, alpha: float) -> float:
    return ((5 + length) / 6) ** alpha


def _best_continuations(
    logits: torch.Tensor, beam_scores: torch.Tensor, count: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The log probabilities of an example's `count` likeliest continuations, and which beams and tokens they are."""
    # No example needs more than `count` tokens of a beam, whose log probabilities then are all that are computed.
    best, tokens = logits.topk(min(count, logits.shape[-1]))
    scores = beam_scores[..., None] + best - logits.logsumexp(-1, keepdim=True)
    scores, chosen = scores.flatten(1).topk(count)
    return scores, chosen // best.shape[-1], _pick(tokens.flatten(1).int(), chosen)


def _pick(x: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """(B, N, ...) -> the chosen of each example's N, (B, M, ...)."""
    return torch.take_along_dim(x, chosen.reshape(*chosen.shape, *(1,) * (x.ndim - 2)), dim=1)
