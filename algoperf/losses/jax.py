"""Each loss of the benchmark in JAX; the twin of `losses/pytorch.py`.

Every function takes labels, logits, an optional mask of shape (B,) and a label smoothing, and returns the dictionary of
the official API: `summed` (scalar), `n_valid_examples` (scalar) and `per_example` (B,), masked.
"""

import jax
import jax.numpy as jnp
import optax

from algoperf.spec import LossType


def _reduce(per_example: jax.Array, mask: jax.Array | None) -> dict[str, jax.Array]:
    if mask is None:
        n_valid_examples = jnp.asarray(per_example.shape[0], jnp.float32)
    else:
        per_example = per_example * mask
        n_valid_examples = mask.sum()
    return {"summed": per_example.sum(), "n_valid_examples": n_valid_examples, "per_example": per_example}


def softmax_cross_entropy(labels, logits, mask=None, label_smoothing=0.0):
    """labels: (B,) class numbers or (B, K) probabilities; logits: (B, K)."""
    if labels.ndim == logits.ndim - 1:
        labels = jax.nn.one_hot(labels, logits.shape[-1])
    labels = optax.smooth_labels(labels, label_smoothing)
    return _reduce(optax.softmax_cross_entropy(logits, labels), mask)


def sigmoid_cross_entropy(labels, logits, mask=None, label_smoothing=0.0):
    """labels: (B,) in [0, 1]; logits: (B, 1) or (B,). The benchmark does not smooth these labels."""
    del label_smoothing
    labels = labels.reshape(-1)
    return _reduce(optax.sigmoid_binary_cross_entropy(logits.reshape(-1), labels), mask)


def mean_absolute_error(labels, logits, mask=None, label_smoothing=0.0):
    """labels, logits: (B, H, W); an example's loss is the mean over its pixels. There is nothing to smooth."""
    del label_smoothing
    return _reduce(jnp.abs(logits - labels).mean(axis=(1, 2)), mask)


LOSSES = {
    LossType.SOFTMAX_CROSS_ENTROPY: softmax_cross_entropy,
    LossType.SIGMOID_CROSS_ENTROPY: sigmoid_cross_entropy,
    LossType.MEAN_ABSOLUTE_ERROR: mean_absolute_error,
}
