"""Connectionist temporal classification on the device alone (Graves et al. 2006, equations 6 to 16), in PyTorch.

PyTorch's own kernel goes by lengths of the host, for which a step waits. Here both recursions, forwards from the
beginning and backwards from the end, are one loop over the frames that only queues: four operations each.
"""

from typing import Any

import torch
from torch.nn import functional

_IMPOSSIBLE = -1e30  # logarithm of a probability; finite, and so are sums of as many as there are frames
_BLANK = 0


def losses(
    log_probs: torch.Tensor, paddings: torch.Tensor, labels: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """Minus the log probability of each label, (B,); 0, without a gradient, where there are too few frames for it.

    log_probs (B, T, K) of classes, of which 0 is the blank; paddings (B, T), 1 at the end of the frames; labels (B, L),
    of which the first `lengths` (B,) count, both int64.
    """
    return _Ctc.apply(log_probs, paddings, labels, lengths)


class _Ctc(torch.autograd.Function):
    """A label's states are a blank, its first class, a blank, its second class, ..., a blank: S = 2 L + 1."""

    @staticmethod
    def forward(
        ctx: Any, log_probs: torch.Tensor, paddings: torch.Tensor, labels: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        states = torch.stack([torch.full_like(labels, _BLANK), labels], dim=-1).flatten(1)
        states = functional.pad(states, (0, 1), value=_BLANK)
        # Of padding only the last blank is left, for certain: what has ended waits there.
        number = torch.arange(states.shape[1], device=states.device)
        is_last = number == 2 * lengths[:, None]
        waiting = torch.where(is_last, 0.0, _IMPOSSIBLE).to(log_probs.dtype)
        emitted = log_probs.gather(2, states[:, None].expand(-1, log_probs.shape[1], -1))
        emitted = torch.where(paddings[..., None] == 1, waiting[:, None], emitted)
        # From a class to the next one without a blank, where they differ.
        may_skip = functional.pad((states[:, 2:] != states[:, :-2]) & (states[:, 2:] != _BLANK), (2, 0))
        is_first = (number < 2).expand_as(is_last) & (number <= 2 * lengths[:, None])
        is_end = is_last | (number == 2 * lengths[:, None] - 1)
        # (2, B, S): forwards, and backwards with the states in reverse, so that both go the same way.
        skips = _both(may_skip, functional.pad(may_skip[:, 2:], (0, 2)))
        starts = _both(is_first, is_end)
        reached = _recursion(torch.stack([emitted, emitted.flip(1, 2)]).movedim(2, 0), starts, skips)
        forwards, backwards = reached[:, 0].transpose(0, 1), reached[:, 1].transpose(0, 1).flip(1, 2)
        total = torch.where(is_end, forwards[:, -1], _IMPOSSIBLE).logsumexp(-1)
        is_possible = total > 0.5 * _IMPOSSIBLE
        # The probability of each state at each time, given the label: what is emitted there is in both directions.
        posterior = (forwards + backwards - emitted - total[:, None, None]).exp()
        counts = is_possible[:, None, None] & (paddings[..., None] == 0)
        ctx.save_for_backward(torch.where(counts, posterior, 0.0), states)
        ctx.num_classes = log_probs.shape[2]
        return torch.where(is_possible, -total, 0.0)

    @staticmethod
    def backward(ctx: Any, gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        posterior, states = ctx.saved_tensors
        of_classes = posterior.new_zeros(*posterior.shape[:2], ctx.num_classes)
        of_classes.scatter_add_(2, states[:, None].expand(-1, posterior.shape[1], -1), posterior)
        return -gradients[:, None, None] * of_classes, None, None, None


def _both(forwards: torch.Tensor, backwards: torch.Tensor) -> torch.Tensor:
    """Of both directions, as logarithms: (B, S) both -> (2, B, S)."""
    found = torch.stack([forwards, backwards.flip(1)])
    return torch.where(found, 0.0, _IMPOSSIBLE)


def _recursion(emitted: torch.Tensor, starts: torch.Tensor, skips: torch.Tensor) -> torch.Tensor:
    """The log probability to have come to each state at each time, as `emitted`: (T, 2, B, S)."""
    starts, skips = starts.to(emitted.dtype), skips.to(emitted.dtype)
    # Two states before the first, to which nothing comes.
    reached = emitted.new_empty(*emitted.shape[:-1], emitted.shape[-1] + 2)
    reached[..., :2] = _IMPOSSIBLE
    torch.add(emitted[0], starts, out=reached[0, ..., 2:])
    for before, now, of_now in zip(reached[:-1], reached[1:], emitted[1:], strict=True):
        skipped = before[..., :-2] + skips
        come = torch.logaddexp(torch.logaddexp(before[..., 2:], before[..., 1:-1]), skipped)
        torch.add(come, of_now, out=now[..., 2:])
    return reached[..., 2:]
