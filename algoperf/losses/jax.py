"""Each loss of the benchmark in JAX; the twin of `losses/pytorch.py`.

Every function takes labels, logits, an optional mask and a label smoothing, and returns the dictionary of the official
API: `summed` (scalar), `n_valid_examples` (scalar) and `per_example`, masked. A mask has the shape of `per_example` or
the first of its axes.
"""

import jax
import jax.numpy as jnp
import optax


def _reduce(per_example: jax.Array, mask: jax.Array | None) -> dict[str, jax.Array]:
    if mask is None:
        n_valid_examples = jnp.asarray(per_example.size, jnp.float32)
    else:
        mask = mask.reshape(*mask.shape, *(1,) * (per_example.ndim - mask.ndim))
        per_example = per_example * mask
        n_valid_examples = jnp.broadcast_to(mask, per_example.shape).sum()
    return {"summed": per_example.sum(), "n_valid_examples": n_valid_examples, "per_example": per_example}


def softmax_cross_entropy(labels, logits, mask=None, label_smoothing=0.0):
    """labels: (...) class numbers or (..., K) probabilities; logits: (..., K); a loss for each label."""
    if labels.ndim == logits.ndim:
        return _reduce(optax.softmax_cross_entropy(logits, optax.smooth_labels(labels, label_smoothing)), mask)
    # -sum of smoothed label times log softmax, without an array of smoothed labels as large as the logits.
    log_sum = jax.nn.logsumexp(logits, axis=-1)
    of_label = jnp.take_along_axis(logits, labels[..., None].astype(jnp.int32), axis=-1)[..., 0]
    losses = log_sum - (1 - label_smoothing) * of_label - label_smoothing * logits.mean(-1)
    return _reduce(losses, mask)


def sigmoid_cross_entropy(labels, logits, mask=None, label_smoothing=0.0):
    """labels: (B,) in [0, 1]; logits: (B, 1) or (B,). The benchmark does not smooth these labels."""
    del label_smoothing
    labels = labels.reshape(-1)
    return _reduce(optax.sigmoid_binary_cross_entropy(logits.reshape(-1), labels), mask)


def mean_absolute_error(labels, logits, mask=None, label_smoothing=0.0):
    """labels, logits: (B, H, W); an example's loss is the mean over its pixels. There is nothing to smooth."""
    del label_smoothing
    return _reduce(jnp.abs(logits - labels).mean(axis=(1, 2)), mask)


def multitask_sigmoid_cross_entropy(labels, logits, mask=None, label_smoothing=0.0):
    """labels in [0, 1] and logits of K tasks: (B, K); a loss for each label. Smoothing takes the tasks for classes."""
    labels = optax.smooth_labels(labels, label_smoothing)
    return _reduce(optax.sigmoid_binary_cross_entropy(logits, labels), mask)


def ctc_loss(labels, logits, mask=None, label_smoothing=0.0):
    """Connectionist temporal classification (Graves et al. 2006); class 0 is the blank. Nothing is smoothed.

    labels: class numbers and paddings, (B, L) both; logits: (B, T, K) and paddings (B, T); 1 marks padding, at the end.
    An example's loss is that of its whole label; the labels are what is counted as valid, at least one. An example with
    too few frames for its label has the loss 0.
    """
    del label_smoothing
    (labels, label_paddings), (logits, logit_paddings) = labels, logits
    labels = labels.astype(jnp.int32)
    lengths = (1 - label_paddings).sum(-1)
    repeated = ((labels[:, 1:] == labels[:, :-1]) * (1 - label_paddings[:, 1:])).sum(-1)
    is_possible = (1 - logit_paddings).sum(-1) >= lengths + repeated
    losses = optax.ctc_loss(logits, logit_paddings, labels, label_paddings)
    mask = jnp.ones(len(labels)) if mask is None else mask
    reduced = _reduce(jnp.where(is_possible, losses, 0.0), mask)
    return {**reduced, "n_valid_examples": jnp.maximum((lengths * mask).sum(), 1)}


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


def _likeliest_of_each_frame(logits: tuple[jax.Array, jax.Array]) -> jax.Array:
    """(B, T) class numbers, the blank in padding."""
    logits, paddings = logits
    return jnp.where(paddings == 1, 0, logits.argmax(-1))


# What a model's logits answer where the question is one of classes.
PREDICTIONS = {
    "softmax_cross_entropy": lambda logits: logits.argmax(-1),
    "multitask_sigmoid_cross_entropy": lambda logits: logits > 0,
    "ctc_loss": _likeliest_of_each_frame,
}

_SOFTMAX = jax.nn.softmax

# Logits into what the official API calls their activations: probabilities, or the values that are predicted.
ACTIVATIONS = {
    "softmax_cross_entropy": _SOFTMAX,
    "sigmoid_cross_entropy": jax.nn.sigmoid,
    "mean_absolute_error": lambda logits: logits,
    "multitask_sigmoid_cross_entropy": jax.nn.sigmoid,
    "ctc_loss": lambda logits: (_SOFTMAX(logits[0]), logits[1]),
}
