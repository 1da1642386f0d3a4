"""CTC's loss in both frameworks against the sum over all alignments, and its gradients."""

import functools
import itertools

import hypothesis
import jax
import numpy as np
import pytest
import torch
from hypothesis import strategies

from algoperf.losses import ctc_pytorch
from algoperf.losses import jax as jax_losses
from algoperf.losses import pytorch as pytorch_losses

NUM_CLASSES = 3  # the blank, 0, and two more
# Of all batches, for which JAX compiles but once for each number of examples.
LENGTH, FRAMES = 5, 9


def batch_of(labels, num_frames, seed=0):
    """One example for each label and number of frames; what is padding is not zero."""
    random = np.random.RandomState(seed)
    ids, id_paddings = random.randint(0, NUM_CLASSES, (len(labels), LENGTH)), np.ones((len(labels), LENGTH))
    logits, paddings = 3 * random.standard_normal((len(labels), FRAMES, NUM_CLASSES)), np.ones((len(labels), FRAMES))
    for row, (label, count) in enumerate(zip(labels, num_frames, strict=True)):
        ids[row, : len(label)], id_paddings[row, : len(label)], paddings[row, :count] = label, 0, 0
    return (ids.astype(np.float64), id_paddings), (logits, paddings)


@functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
@functools.partial(jax.grad, has_aux=True)
def jax_gradient(values, labels, paddings, mask):
    loss = jax_losses.ctc_loss(labels, (values, paddings), mask)
    return loss["summed"], loss


def jax_ctc(labels, logits, mask=None):
    """The loss, and the gradient of its sum."""
    with jax.enable_x64():
        gradient, loss = jax.device_get(jax_gradient(logits[0], labels, logits[1], mask))
        return loss, gradient


def pytorch_ctc(labels, logits, mask=None):
    values = torch.tensor(logits[0], requires_grad=True)
    labels, mask, paddings = jax.tree.map(torch.tensor, (labels, mask, logits[1]))
    loss = pytorch_losses.ctc_loss(labels, (values, paddings), mask)
    loss["summed"].backward()
    return {name: value.detach().numpy() for name, value in loss.items()}, values.grad.numpy()


def device_ctc(labels, logits, mask=None):
    """As PyTorch computes it on a GPU; here on the CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytorch_losses, "_ctc_losses", ctc_pytorch.losses)
        return pytorch_ctc(labels, logits, mask)


CTC = {"jax": jax_ctc, "pytorch": pytorch_ctc, "pytorch on a device": device_ctc}


def by_enumeration(label, logits):
    """Minus the logarithm of the probability of all sequences of classes that read as `label`, (T, K) logits given."""
    paths = [
        path
        for path in itertools.product(range(NUM_CLASSES), repeat=len(logits))
        if [number for number, _ in itertools.groupby(path) if number != 0] == list(label)
    ]
    return -logits.log_softmax(-1)[torch.arange(len(logits)), torch.tensor(paths)].sum(1).logsumexp(0)


# The longest of them, and those that repeat themselves, need nearly all of their frames, or all.
LABELS = [[1], [2, 1], [1, 1], [1, 2, 2], [2, 2, 2], [1, 2, 1], []]
NUM_FRAMES = [1, 4, 3, 5, 5, 3, 4]


@pytest.mark.parametrize("framework", CTC)
def test_the_loss_and_its_gradient_are_those_of_the_sum_over_all_alignments(framework):
    labels, logits = batch_of(LABELS, NUM_FRAMES)
    loss, gradient = CTC[framework](labels, logits)
    for row, (label, count) in enumerate(zip(LABELS, NUM_FRAMES, strict=True)):
        values = torch.tensor(logits[0][row, :count], requires_grad=True)
        expected = by_enumeration(label, values)
        expected.backward()
        np.testing.assert_allclose(loss["per_example"][row], expected.item(), rtol=1e-9, err_msg=str(label))
        np.testing.assert_allclose(gradient[row, :count], values.grad, rtol=1e-7, atol=1e-9, err_msg=str(label))
        assert not gradient[row, count:].any()
    assert loss["summed"] == pytest.approx(loss["per_example"].sum())
    assert loss["n_valid_examples"] == sum(map(len, LABELS))


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(strategies.data())
def test_the_frameworks_agree(data):
    label = strategies.lists(strategies.integers(1, NUM_CLASSES - 1), max_size=4)
    labels = data.draw(strategies.lists(label, min_size=3, max_size=3))
    num_frames = data.draw(strategies.lists(strategies.integers(1, FRAMES), min_size=3, max_size=3))
    arguments = batch_of(labels, num_frames, seed=data.draw(strategies.integers(0, 1_000)))
    (jax_loss, jax_gradient), *others = (ctc(*arguments) for ctc in CTC.values())
    for loss, gradient in others:
        np.testing.assert_allclose(loss["per_example"], jax_loss["per_example"], rtol=1e-9)
        np.testing.assert_allclose(gradient, jax_gradient, rtol=1e-7, atol=1e-9)
        assert loss["n_valid_examples"] == jax_loss["n_valid_examples"]


@pytest.mark.parametrize("framework", CTC)
def test_what_cannot_be_aligned_has_no_loss_and_no_gradient(framework):
    """Too few frames: for the labels, or for the blanks between equal ones, or none at all."""
    labels, logits = batch_of([[1, 2, 1], [1, 1], [2]], [2, 2, 0])
    loss, gradient = CTC[framework](labels, logits)
    assert not gradient.any()
    np.testing.assert_array_equal(loss["per_example"], 0)
    assert loss["n_valid_examples"] == 6


@pytest.mark.parametrize("framework", CTC)
def test_only_what_the_mask_keeps_counts(framework):
    labels, logits = batch_of([[1, 2], [2], [1]], [4, 4, 4])
    whole, whole_gradient = CTC[framework](labels, logits)
    mask = np.array([1.0, 0.0, 1.0])
    kept, gradient = CTC[framework](labels, logits, mask)
    np.testing.assert_allclose(kept["per_example"], whole["per_example"] * mask)
    np.testing.assert_allclose(gradient, whole_gradient * mask[:, None, None])
    assert kept["n_valid_examples"] == 3


@pytest.mark.parametrize("framework", CTC)
def test_without_any_label_one_counts(framework):
    loss, _ = CTC[framework](*batch_of([[], [], []], [2, 3, 4]))
    assert loss["n_valid_examples"] == 1


@pytest.mark.parametrize("framework", CTC)
def test_the_content_of_padding_does_not_matter(framework):
    (ids, id_paddings), (logits, paddings) = batch_of(LABELS, NUM_FRAMES)
    changed = (np.where(id_paddings == 1, 2, ids), id_paddings), (logits + 50 * paddings[..., None], paddings)
    first, second = CTC[framework]((ids, id_paddings), (logits, paddings)), CTC[framework](*changed)
    np.testing.assert_array_equal(first[0]["per_example"], second[0]["per_example"])
    np.testing.assert_array_equal(first[1], second[1])
