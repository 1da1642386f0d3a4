"""Conformer and DeepSpeech in both frameworks against the reference's numbers (tests/oracle/README.md)."""

import re
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch

from algoperf.benchmark.facts import UsageError, replace
from algoperf.benchmark.reference_names import pieces
from algoperf.benchmark.registry import load_spec
from tests import oracle
from tests.support.functional_models import EVAL, MODELS, nadamw_trajectory, relative_error, valid
from tests.support.nightly import FULL_SIZE, TWINS, of_bases
from tests.support.small_models import small_batch, small_model, small_spec, small_tensors
from workloads.layers import pytorch as pytorch_layers

WITHOUT_SPEC_AUGMENT = {"model": dict(time_mask_count=0, freq_mask_count=0)}
KEPT = 21  # of the logits, every so-manieth
# In float32 an LSTM's gradients, and those of a long alignment in PyTorch, are ill-conditioned: the two sides of the
# reference differ by 2e-3 and 1e-4. test_models_variants.py compares the frameworks in float64.
GRADIENT_TOLERANCES = {"librispeech_conformer": 2e-4, "librispeech_deepspeech": 2e-3}
TRAIN_TOLERANCES = {"librispeech_conformer": 1e-5, "librispeech_deepspeech": 5e-5}


@pytest.fixture(scope="module", params=GRADIENT_TOLERANCES)
def expected(request):
    """What the reference has for one of the two: its spec, numbers and arrays, the weights, and the batch."""
    spec = replace(load_spec(request.param), WITHOUT_SPEC_AUGMENT)
    numbers, arrays = oracle.numbers(request.param), oracle.arrays(request.param)
    batch = oracle.librispeech_batch(numbers["batch_size"], numbers["samples"], numbers["max_target"])
    audio, paddings = batch["inputs"]
    assert np.array_equal(audio.reshape(-1)[::97], arrays["batch/inputs/0"])
    assert np.array_equal(paddings.sum(1), arrays["batch/inputs/1"])
    for part in (0, 1):
        assert np.array_equal(batch["targets"][part], arrays[f"batch/targets/{part}"])
    tensors = oracle.canonical_weights(spec, MODELS["pytorch"](spec).shapes())
    return SimpleNamespace(spec=spec, numbers=numbers, arrays=arrays, batch=batch, tensors=tensors)


@pytest.fixture(scope="module", params=FULL_SIZE)
def run(request, expected):
    """The model in one framework, and one pass of training with the reference's weights."""
    model = MODELS[request.param](expected.spec)
    return SimpleNamespace(model=model, first=model.train(expected.tensors, expected.batch))


def logits_error(actual, arrays, mode):
    """The relative error of the logits of valid frames; which these are has to agree."""
    logits, paddings = actual
    np.testing.assert_array_equal(paddings, arrays[f"{mode}/logit_paddings"])
    kept = np.broadcast_to(paddings[..., None] == 0, logits.shape).reshape(-1)[::KEPT]
    return relative_error(logits.reshape(-1)[::KEPT][kept], arrays[f"{mode}/logits"][kept])


def test_logits_and_losses_of_evaluation_agree_with_the_reference(run, expected):
    logits = run.model.logits(expected.tensors, expected.batch, EVAL)
    assert logits_error(logits, expected.arrays, "eval") < 1e-5
    for label_smoothing in (0.0, 0.1):  # which changes nothing
        for name, value in run.model.losses(expected.batch, logits, label_smoothing).items():
            loss = expected.arrays[f"eval/loss_ls{label_smoothing}/{name}"]
            np.testing.assert_allclose(value, loss, rtol=1e-5, err_msg=name)


def test_training_agrees_with_the_reference(run, expected):
    assert logits_error(run.first.logits, expected.arrays, "train") < TRAIN_TOLERANCES[expected.spec.name]
    assert run.first.mean_loss == pytest.approx(float(expected.arrays["mean_loss"]), rel=1e-5)


def test_gradients_agree_with_the_reference(run, expected):
    errors = oracle.gradient_errors(expected.spec, run.first.gradients)
    for error in (errors.norms, errors.probes):
        assert error.max() < GRADIENT_TOLERANCES[expected.spec.name]
        assert np.median(error) < 2e-4


def test_running_statistics_after_a_step_agree_with_the_reference(run, expected):
    found = {pieces(expected.spec, name)[0].name: array for name, array in run.first.statistics.items()}
    arrays = {
        name.removeprefix("bn_after/"): array for name, array in expected.arrays.items() if name.startswith("bn_after/")
    }
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_allclose(found[name][::7], array, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.landing("training of speech")
def test_nadamw_follows_the_reference(expected):
    """In PyTorch alone: JAX would have to compile for another number of frames."""
    model, trajectory = MODELS["pytorch"](expected.spec), expected.numbers["trajectory"]
    batch = oracle.librispeech_batch(trajectory["batch_size"], trajectory["samples"], trajectory["max_target"])
    actual = nadamw_trajectory(model, expected.tensors, batch, trajectory["hparams"], num_steps=3)
    assert actual.losses == pytest.approx(trajectory["losses"][:3], rel=2e-4)
    assert actual.gradient_norms == pytest.approx(trajectory["grad_norms"][:3], rel=1e-3)


NAMES = list(GRADIENT_TOLERANCES)


@pytest.mark.parametrize("framework", TWINS)
@pytest.mark.parametrize("name", of_bases([*NAMES, "librispeech_deepspeech_norm_and_spec_aug"]))
def test_what_stands_in_the_padding_is_without_influence(name, framework):
    model, tensors, batch = small_model(name, framework), small_tensors(name), small_batch(name)
    (audio, paddings), (ids, id_paddings) = batch["inputs"], batch["targets"]
    noise = 1_000 * np.random.RandomState(0).standard_normal(audio.shape)
    noisy = np.where(paddings == 1, noise, audio).astype(np.float32)
    other = {"inputs": (noisy, paddings), "targets": (np.where(id_paddings == 1, 3, ids), id_paddings)}
    first, second = (model.train(tensors, each) for each in (batch, other))
    np.testing.assert_array_equal(valid(second.logits), valid(first.logits))
    assert second.mean_loss == first.mean_loss
    for parameter, gradient in first.gradients.items():
        np.testing.assert_array_equal(second.gradients[parameter], gradient, err_msg=parameter)
    for statistic, array in first.statistics.items():
        np.testing.assert_array_equal(second.statistics[statistic], array, err_msg=statistic)


@pytest.mark.parametrize("framework", TWINS)
@pytest.mark.parametrize("name", NAMES)
def test_how_much_padding_there_is_is_without_influence(name, framework):
    """From two frames on, which the subsampling looks beyond; 8 more frames are two more of its own."""
    model, tensors, batch = small_model(name, framework), small_tensors(name), small_batch(name)
    audio, paddings = (array[1:] for array in batch["inputs"])
    assert (paddings.sum(1) > 2 * 160 + 400).all()
    longer = np.pad(audio, ((0, 0), (0, 8 * 160))), np.pad(paddings, ((0, 0), (0, 8 * 160)), constant_values=1)
    first, second = (model.logits(tensors, {"inputs": each}, EVAL) for each in ((audio, paddings), longer))
    np.testing.assert_allclose(valid(second), valid(first), rtol=1e-9)


def pytorch_logits(name, tensors, volume=1.0, **values):
    """Of a small model's valid frames in evaluation; JAX's agree in every variant (test_models_variants.py)."""
    model = MODELS["pytorch"](replace(small_spec(name), {"model": values}), np.float64)
    audio, paddings = small_batch(name)["inputs"]
    return valid(
        model.logits({key: tensors[key] for key in model.shapes()}, {"inputs": (volume * audio, paddings)}, EVAL)
    )


def test_the_attention_temperature_multiplies_what_was_attended_to():
    name = "librispeech_conformer"
    tensors = small_tensors(name)
    scaled = {
        key: array.astype(np.float64) * (1.6 if key.endswith("attention.out.weight") else 1)
        for key, array in tensors.items()
    }
    expected = pytorch_logits(name, scaled)
    assert relative_error(pytorch_logits(f"{name}_attention_temperature", tensors), expected) < 1e-12
    assert relative_error(pytorch_logits(name, tensors), expected) > 1e-3


def test_conformer_layernorm_lacks_the_norm_at_the_end_of_a_block():
    """Behind one block comes the last norm, before which another one that is the identity can make no difference."""
    name, tensors = "librispeech_conformer", small_tensors("librispeech_conformer")
    as_it_is = {key: 0 * array if key.startswith("blocks.0.norm.") else array for key, array in tensors.items()}
    without = pytorch_logits(f"{name}_layernorm", tensors, depth=1)
    assert relative_error(pytorch_logits(name, as_it_is, depth=1), without) < 1e-5
    assert relative_error(pytorch_logits(name, as_it_is), pytorch_logits(f"{name}_layernorm", tensors)) > 1e-3


def gelu_by_tanh(x):
    return x / 2 * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))


@pytest.mark.parametrize(
    ("base", "variant", "activation", "function"),
    [("librispeech_conformer", "gelu", "silu", gelu_by_tanh), ("librispeech_deepspeech", "tanh", "relu", torch.tanh)],
)
def test_a_variant_has_another_activation_wherever_its_base_has_one(base, variant, activation, function):
    tensors = small_tensors(base)
    of_variant = pytorch_logits(f"{base}_{variant}", tensors)
    assert relative_error(pytorch_logits(base, tensors), of_variant) > 1e-3
    with mock.patch.dict(pytorch_layers.ACTIVATIONS, {activation: function}):
        assert relative_error(pytorch_logits(base, tensors), of_variant) < 1e-12


@pytest.mark.parametrize("layer", ["recurrent.0.lstm", "recurrent.1.lstm", "feed_forward.0.linear"])
def test_without_residuals_nothing_gets_past_a_silent_layer(layer):
    """What was said makes then no difference; with residuals it does."""
    change = {}
    for name in ("librispeech_deepspeech", "librispeech_deepspeech_no_resnet"):
        tensors = {key: 0 * array if key.startswith(layer) else array for key, array in small_tensors(name).items()}
        logits = pytorch_logits(name, tensors)
        change[name] = relative_error(pytorch_logits(name, tensors, volume=0.1), logits)
    assert change["librispeech_deepspeech_no_resnet"] == 0
    assert change["librispeech_deepspeech"] > 1e-2


def test_norm_and_spec_aug_normalises_each_frame_by_itself():
    name = "librispeech_deepspeech_norm_and_spec_aug"
    tensors = {key: array.astype(np.float64) for key, array in small_tensors(name).items()}
    tensors |= {"head.weight": np.eye(16), "head.bias": np.zeros(16)}
    frames = pytorch_logits(name, tensors, recurrent_depth=0, feed_forward_depth=0, vocab_size=16)
    norm = (frames - frames.mean(-1, keepdims=True)) / np.sqrt(frames.var(-1, keepdims=True) + 1e-6)
    norm = norm * (1 + tensors["feed_forward.0.norm.scale"]) + tensors["feed_forward.0.norm.bias"]
    hidden = norm @ tensors["feed_forward.0.linear.weight"].T + tensors["feed_forward.0.linear.bias"]
    actual = pytorch_logits(name, tensors, recurrent_depth=0, feed_forward_depth=1, vocab_size=16)
    assert relative_error(actual, frames + np.maximum(hidden, 0)) < 1e-12
    model = load_spec(name).model
    assert (model["freq_mask_count"], model["time_mask_count"]) == (4, 15)
    model = load_spec("librispeech_deepspeech").model
    assert (model["freq_mask_count"], model["time_mask_count"]) == (2, 10)


@pytest.mark.parametrize("framework", MODELS)
@pytest.mark.parametrize(
    ("name", "model", "sentence"),
    [
        (
            "librispeech_conformer",
            dict(block_norm="batch"),
            "there is no block norm 'batch'; the choices are layer, none.",
        ),
        (
            "librispeech_conformer",
            dict(activation="swish"),
            "there is no activation 'swish'; the choices are relu, silu",
        ),
        ("librispeech_deepspeech", dict(norm="group"), "there is no norm 'group'; the choices are batch, layer."),
        ("librispeech_deepspeech", dict(shortcut="add"), "there is no shortcut 'add'; the choices are identity, none."),
    ],
)
def test_impossible_models_are_refused(framework, name, model, sentence):
    with pytest.raises(UsageError, match=re.escape(sentence)):
        MODELS[framework](replace(small_spec(name), {"model": model}))
