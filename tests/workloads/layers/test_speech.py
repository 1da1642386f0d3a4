"""What the speech models share, in both frameworks: front end, SpecAugment, norms and subsampling."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

from tests import oracle
from tests.support.functional_models import EVAL, TRAIN
from workloads.layers import jax as jax_layers
from workloads.layers import log_mel, speech_jax, speech_pytorch
from workloads.layers import pytorch as pytorch_layers
from workloads.librispeech_conformer.model_pytorch import Depthwise

RANDOM = np.random.RandomState(0)
LENGTHS = np.array([9, 4, 1])
FRAMES = RANDOM.standard_normal((3, 9, 5)).astype(np.float32)
PADDINGS = (np.arange(9) >= LENGTHS[:, None]).astype(np.float32)
FRAMEWORKS = ["jax", "pytorch"]


def jitted(function):
    """Compiled in no more time than it takes to run once."""
    compiled = jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})
    return lambda *arrays: jax.device_get(compiled(*arrays))


def call(framework, name, arrays, *others):
    """A function of the module of that framework, of arrays and then of other values."""
    if framework == "jax":
        return jitted(lambda *arrays: getattr(speech_jax, name)(*arrays, *others))(*arrays)
    result = getattr(speech_pytorch, name)(*map(torch.tensor, arrays), *others)
    return jax.tree.map(lambda tensor: tensor.numpy(), result)


def layer(framework, name, arrays, *sizes):
    """A layer of that framework with these arrays, as a function of arrays; and its running statistics afterwards."""
    if framework == "jax":
        module = getattr(speech_jax, name)(*sizes)
        for attribute, value in arrays.items():
            getattr(module, attribute.removeprefix("running_"))[...] = jnp.asarray(value)
        return lambda *inputs: (np.asarray(module(*inputs)), jax_layers.to_canonical(module))
    module = getattr(speech_pytorch, name)(*sizes)
    pytorch_layers.from_canonical(module, arrays)

    def apply(x, *inputs):
        inputs = (torch.tensor(each) if isinstance(each, np.ndarray) else each for each in inputs)
        return module(torch.tensor(x), *inputs).detach().numpy(), pytorch_layers.to_canonical(module)

    return apply


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_log_mel_features_are_the_references(framework):
    expected = oracle.arrays("log_mel")
    features, paddings = call(framework, "log_mel_features", (expected["audio"], np.float32(expected["paddings"])))
    np.testing.assert_allclose(features, expected["features"], atol=2e-3)
    assert np.abs(features - expected["features"]).mean() < 1e-5
    np.testing.assert_array_equal(paddings, expected["feature_paddings"])


def test_the_mel_matrix_is_the_references():
    np.testing.assert_allclose(log_mel.mel_matrix(), oracle.arrays("log_mel")["mel_matrix"], atol=2e-5)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_twenty_seconds_are_1998_frames(framework):
    audio = np.ones((1, 320_000), np.float32)
    features, paddings = call(framework, "log_mel_features", (audio, 0 * audio))
    assert features.shape == (1, 1_998, 80)
    assert paddings.shape == (1, 1_998)


def runs(hidden):
    """The lengths of the stretches of True, (n,) bools."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], hidden, [False]])))
    return edges[1::2] - edges[::2]


LONG, SHORT = 400, 100


def augmented(framework, time_masks, freq_masks, seed, ctx=TRAIN):
    """Which of ones are hidden: (40, 400, 80), half of the recordings of 400 frames and half of 100."""
    features = np.ones((40, LONG, 80), np.float32)
    paddings = np.zeros((40, LONG), np.float32)
    paddings[20:, SHORT:] = 1
    torch.manual_seed(seed)
    ctx = dataclasses.replace(ctx, rng=jax.random.key(seed))
    values = call(framework, "spec_augment", (features, paddings), time_masks, freq_masks, ctx)
    assert set(np.unique(values)) <= {0.0, 1.0}
    return values == 0


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_time_masks_hide_stretches_below_a_twentieth_of_the_recording(framework):
    hidden = augmented(framework, 1, 0, seed=0)
    assert (hidden.all(2) == hidden.any(2)).all()
    hidden, lengths = hidden.any(2), []
    for row, length in enumerate([LONG] * 20 + [SHORT] * 20):
        assert not hidden[row, length:].any()
        stretches = runs(hidden[row])
        assert len(stretches) <= 1
        lengths.append(stretches.sum() / length)
    assert max(lengths) < 0.05
    assert np.mean(lengths) == pytest.approx(0.025, abs=0.01)
    assert len(set(lengths)) > 10


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_frequency_masks_hide_fewer_than_27_bins(framework):
    hidden = augmented(framework, 0, 1, seed=0)
    assert (hidden.all(1) == hidden.any(1)).all()
    widths = [runs(row).sum() for row in hidden.any(1)]
    assert max(widths) < 27
    assert np.mean(widths) == pytest.approx(13, abs=4)
    assert all(len(runs(row)) <= 1 for row in hidden.any(1))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_recording_and_every_pass_has_masks_of_its_own(framework):
    hidden = augmented(framework, 10, 2, seed=0)
    assert len({row.tobytes() for row in hidden}) == 40
    assert not np.array_equal(hidden, augmented(framework, 10, 2, seed=1))
    # Of the longer recordings: 10 masks of a fortieth on average, some of them overlapping; and 2 of 13 of 80 bins.
    assert hidden[:20].all(2).mean() == pytest.approx(1 - (1 - 1 / 40) ** 10, abs=0.04)
    assert hidden.all(1).mean() == pytest.approx(1 - (1 - 13 / 80) ** 2, abs=0.06)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_nothing_is_hidden_in_evaluation_or_without_masks(framework):
    assert not augmented(framework, 10, 2, seed=0, ctx=EVAL).any()
    assert not augmented(framework, 0, 0, seed=0).any()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_layer_norm_stores_its_scale_less_one(framework):
    arrays = {"scale": RANDOM.standard_normal(5), "bias": RANDOM.standard_normal(5)}
    normed = (FRAMES - FRAMES.mean(-1, keepdims=True)) / np.sqrt(FRAMES.var(-1, keepdims=True) + 1e-6)
    actual, _ = layer(framework, "LayerNorm", arrays, 5)(FRAMES)
    np.testing.assert_allclose(actual, normed * (1 + arrays["scale"]) + arrays["bias"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("use_running_average", [False, True])
@pytest.mark.parametrize("update", [False, True])
def test_batch_norm_is_that_of_the_valid_frames(framework, use_running_average, update):
    scale, bias, mean, var = RANDOM.standard_normal((4, 5)).astype(np.float32)
    arrays = {"scale": scale, "bias": bias, "running_mean": mean, "running_var": var**2}
    ctx = dataclasses.replace(TRAIN, use_running_average=use_running_average, update_batch_norm=update)
    is_valid = PADDINGS == 0
    found = (mean, var**2) if use_running_average else (FRAMES[is_valid].mean(0), FRAMES[is_valid].var(0))
    expected = (FRAMES - found[0]) / np.sqrt(found[1] + 1e-3) * (1 + scale) + bias
    actual, after = layer(framework, "BatchNorm", arrays, 5)(FRAMES, PADDINGS, ctx)
    np.testing.assert_allclose(actual, np.where(is_valid[..., None], expected, 0), rtol=1e-4, atol=1e-5)
    for name, statistic in zip(("running_mean", "running_var"), found, strict=True):
        moved = 0.999 * arrays[name] + 0.001 * statistic if update else arrays[name]
        np.testing.assert_allclose(after[name], moved, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_batch_without_a_valid_frame_has_no_statistics_to_divide_by(framework):
    arrays = {"scale": np.zeros(5), "bias": np.ones(5), "running_mean": np.zeros(5), "running_var": np.ones(5)}
    actual, after = layer(framework, "BatchNorm", arrays, 5)(FRAMES, np.ones_like(PADDINGS), TRAIN)
    np.testing.assert_array_equal(actual, np.zeros_like(FRAMES))
    np.testing.assert_allclose(after["running_mean"], 0)


def test_subsampling_quarters_the_frames_and_hides_padding():
    features = RANDOM.standard_normal((2, 11, 80)).astype(np.float32)
    paddings = (np.arange(11) >= np.array([[11], [5]])).astype(np.float32)
    twin = speech_pytorch.Subsampling(6, torch.relu)
    abstract = nnx.eval_shape(lambda: speech_jax.Subsampling(6, nnx.relu, rngs=nnx.Rngs(0)))
    arrays = jax_layers.from_canonical(abstract, pytorch_layers.to_canonical(twin))
    model = jax_layers.merge(jax_layers.split(abstract)[0], *arrays)
    expected, expected_paddings = jitted(model)(features, paddings)
    actual, actual_paddings = (tensor.detach().numpy() for tensor in twin(*map(torch.tensor, (features, paddings))))
    np.testing.assert_array_equal(expected_paddings, [[0, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(actual_paddings, expected_paddings)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(expected[1, 2], model.linear.bias[...])


def test_the_convolution_of_each_channel_is_the_same_by_a_kernel_and_by_products():
    """A GPU takes the kernel, a CPU the products."""
    torch.manual_seed(0)
    layer, padded = Depthwise(6, 4), torch.randn(2, 12, 6)
    torch.testing.assert_close(layer._by_kernel(padded), layer._by_products(padded, 9))
