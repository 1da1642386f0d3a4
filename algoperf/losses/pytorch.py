"""Each loss of the benchmark in PyTorch; the twin of `losses/jax.py`.

Every function takes labels, logits, an optional mask and a label smoothing, and returns the dictionary of the official
API: `summed` (scalar), `n_valid_examples` (scalar) and `per_example`, masked. A mask has the shape of `per_example` or
the first of its axes.
"""

import functools

import torch
from torch.nn import functional

from algoperf.losses import ctc_pytorch


def _reduce(per_example: torch.Tensor, mask: torch.Tensor | None) -> dict[str, torch.Tensor]:
    if mask is None:
        # Filled there: a number that is copied to a device is waited for.
        n_valid_examples = per_example.new_full((), per_example.numel())
    else:
        mask = mask.reshape(*mask.shape, *(1,) * (per_example.ndim - mask.ndim))
        per_example = per_example * mask
        n_valid_examples = mask.expand_as(per_example).sum()
    return {"summed": per_example.sum(), "n_valid_examples": n_valid_examples, "per_example": per_example}


def softmax_cross_entropy(labels, logits, mask=None, label_smoothing=0.0):
    """labels: (...) class numbers or (..., K) probabilities; logits: (..., K); a loss for each label."""
    shape = logits.shape[:-1]
    labels = labels.reshape(-1, logits.shape[-1]) if labels.ndim == logits.ndim else labels.reshape(-1).long()
    losses = functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), labels, reduction="none", label_smoothing=label_smoothing
    )
    return _reduce(losses.reshape(shape), mask)


def sigmoid_cross_entropy(labels, logits, mask=None, label_smoothing=0.0):
    """labels: (B,) in [0, 1]; logits: (B, 1) or (B,). The benchmark does not smooth these labels."""
    del label_smoothing
    labels = labels.reshape(-1)
    return _reduce(functional.binary_cross_entropy_with_logits(logits.reshape(-1), labels, reduction="none"), mask)


def mean_absolute_error(labels, logits, mask=None, label_smoothing=0.0):
    """labels, logits: (B, H, W); an example's loss is the mean over its pixels. There is nothing to smooth."""
    del label_smoothing
    return _reduce(functional.l1_loss(logits, labels, reduction="none").mean(dim=(1, 2)), mask)


def multitask_sigmoid_cross_entropy(labels, logits, mask=None, label_smoothing=0.0):
    """labels in [0, 1] and logits of K tasks: (B, K); a loss for each label. Smoothing takes the tasks for classes."""
    labels = (1 - label_smoothing) * labels + label_smoothing / labels.shape[-1]
    return _reduce(functional.binary_cross_entropy_with_logits(logits, labels, reduction="none"), mask)


def _ctc_losses(
    log_probs: torch.Tensor, paddings: torch.Tensor, labels: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """See `ctc_pytorch.losses`."""
    frames = (1 - paddings).sum(-1).long()
    return functional.ctc_loss(log_probs.transpose(0, 1), labels, frames, lengths, reduction="none", zero_infinity=True)


def ctc_loss(labels, logits, mask=None, label_smoothing=0.0):
    """Connectionist temporal classification (Graves et al. 2006); class 0 is the blank. Nothing is smoothed.

    labels: class numbers and paddings, (B, L) both; logits: (B, T, K) and paddings (B, T); 1 marks padding, at the end.
    An example's loss is that of its whole label; the labels are what is counted as valid, at least one. An example with
    too few frames for its label has the loss 0.
    """
    del label_smoothing
    (labels, label_paddings), (logits, logit_paddings) = labels, logits
    lengths = (1 - label_paddings).sum(-1)
    # PyTorch's own takes lengths from the host and gives them to the device: both wait.
    compute = ctc_pytorch.losses if logits.is_cuda else _ctc_losses
    losses = compute(logits.log_softmax(-1), logit_paddings, labels.long(), lengths.long())
    mask = torch.ones_like(losses) if mask is None else mask
    reduced = _reduce(losses, mask)
    return {**reduced, "n_valid_examples": (lengths * mask).sum().clamp_min(1)}


# By the name that `WorkloadSpec.loss_name` has for it.
LOSSES = {
    function.__name__: function
    for function in (
        softmax_cross_entropy,
        sigmoid_cross_entropy,
        mean_absolute_error,
        multitask_sigmoid_cross_entropy,
        ctc_loss,
    )
}


def _likeliest_of_each_frame(logits: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """(B, T) class numbers, the blank in padding."""
    logits, paddings = logits
    return logits.argmax(-1).masked_fill(paddings == 1, 0)


# What a model's logits answer where the question is one of classes.
PREDICTIONS = {
    "softmax_cross_entropy": lambda logits: logits.argmax(-1),
    "multitask_sigmoid_cross_entropy": lambda logits: logits > 0,
    "ctc_loss": _likeliest_of_each_frame,
}

_SOFTMAX = functools.partial(functional.softmax, dim=-1)

# Logits into what the official API calls their activations: probabilities, or the values that are predicted.
ACTIVATIONS = {
    "softmax_cross_entropy": _SOFTMAX,
    "sigmoid_cross_entropy": torch.sigmoid,
    "mean_absolute_error": lambda logits: logits,
    "multitask_sigmoid_cross_entropy": torch.sigmoid,
    "ctc_loss": lambda logits: (_SOFTMAX(logits[0]), logits[1]),
}
