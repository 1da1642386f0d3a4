"""The Transformer in both frameworks against the reference implementation's numbers (tests/oracle/README.md)."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest

from algoperf.benchmark.facts import UsageError, replace
from algoperf.benchmark.registry import load_spec, variants
from tests import oracle
from tests.support.functional_models import EVAL, MODELS, TRAIN, nadamw_trajectory, relative_error
from tests.support.nightly import LARGEST, TWINS, of_bases
from tests.support.small_models import small_batch, small_model, small_spec, small_tensors

SPEC = load_spec("wmt")
NUMBERS = oracle.numbers("wmt")
ARRAYS = oracle.arrays("wmt")
KEPT = 451  # of the logits, every so-manieth


@pytest.fixture(scope="module")
def batch():
    batch = oracle.wmt_batch(NUMBERS["batch_size"], NUMBERS["length"])
    for name, array in batch.items():
        assert np.array_equal(array, ARRAYS[f"batch/{name}"]), name
    return batch


@pytest.fixture(scope="module")
def tensors():
    return oracle.canonical_weights(SPEC, MODELS["pytorch"](SPEC).shapes())


@pytest.fixture(scope="module", params=LARGEST)
def run(request, batch, tensors):
    """The model and one pass of its training with the oracle's weights."""
    model = MODELS[request.param](SPEC)
    return SimpleNamespace(model=model, first=model.train(tensors, batch))


def test_logits_and_losses_of_evaluation_agree_with_the_reference(run, batch, tensors):
    logits = run.model.logits(tensors, batch, EVAL)
    assert relative_error(logits.reshape(-1)[::KEPT], ARRAYS["eval/logits"]) < 1e-5
    for label_smoothing in (0.0, 0.1):
        for name, value in run.model.losses(batch, logits, label_smoothing).items():
            expected = ARRAYS[f"eval/loss_ls{label_smoothing}/{name}"]
            np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5, err_msg=name)


def test_training_agrees_with_the_reference(run):
    assert relative_error(run.first.logits.reshape(-1)[::KEPT], ARRAYS["train/logits"]) < 1e-5
    assert run.first.mean_loss == pytest.approx(float(ARRAYS["mean_loss"]), rel=1e-5)


def test_gradients_agree_with_the_reference(run):
    # One of the values that ReLU sees is 2.6e-7, which in float32 may as well be zero; in float64 all agree to 3e-7.
    errors = oracle.gradient_norm_errors(SPEC, run.first.gradients)
    assert errors.max() < 1e-3
    assert np.median(errors) < 1e-4


@pytest.mark.nightly("full-size models, trained")
def test_nadamw_follows_the_reference(batch, tensors):
    """In PyTorch; its updates are NumPy's, take longer than the model and hold several copies of it."""
    hyperparameters = NUMBERS["trajectory"]["hparams"]
    trajectory = nadamw_trajectory(MODELS["pytorch"](SPEC), tensors, batch, hyperparameters, num_steps=3)
    expected = NUMBERS["trajectory"]
    assert trajectory.losses == pytest.approx(expected["losses"][:3], rel=1e-5)
    assert trajectory.gradient_norms == pytest.approx(expected["grad_norms"][:3], rel=1e-4)


@pytest.mark.parametrize("framework", TWINS)
def test_padding_is_without_influence(framework):
    """Neither its ids nor its positions are of any."""
    model, tensors, batch = small_model("wmt", framework), small_tensors("wmt"), small_batch("wmt")
    changed = dict(batch)
    for side in ("inputs", "targets"):
        is_padding = batch[f"{side}_segmentation"] == 0
        assert is_padding.any()
        changed[side] = np.where(is_padding, 7, batch[side])
        changed[f"{side}_position"] = np.where(is_padding, 5, batch[f"{side}_position"])
    first, second = (model.train(tensors, each) for each in (batch, changed))
    is_valid = batch["weights"] == 1
    np.testing.assert_array_equal(second.logits[is_valid], first.logits[is_valid])
    for name, gradient in first.gradients.items():
        np.testing.assert_allclose(second.gradients[name], gradient, rtol=1e-9, atol=1e-15, err_msg=name)


def numpy_logits(spec, tensors, source, target, before):
    """What the definition of the network gives for one pair of sentences, (T, vocab_size); `before`: a first token."""
    width, num_heads = spec.model["width"], spec.model["num_heads"]
    table = tensors["shared_embedding.weight"].astype(np.float64)
    activate = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}[spec.model["activation"]]

    def linear(name, x):
        return x @ tensors[f"{name}.weight"].T + tensors.get(f"{name}.bias", 0.0)

    def norm(name, x):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return x * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    def attention(name, x, y, is_seen):
        queries, keys, values = (
            linear(f"{name}.{part}", z).reshape(len(z), num_heads, -1).swapaxes(0, 1)
            for part, z in (("query", spec.model["attention_temperature"] * x), ("key", y), ("value", y))
        )
        scores = np.where(is_seen, queries @ keys.swapaxes(1, 2) / np.sqrt(width / num_heads), -np.inf)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        return linear(f"{name}.out", (shares @ values).swapaxes(0, 1).reshape(len(x), width))

    def mlp(name, x):
        y = activate(linear(f"{name}.hidden", x))
        return linear(f"{name}.out", y * linear(f"{name}.gate", x) if spec.model["gate"] == "linear" else y)

    def with_residual(name, x, layer):
        return norm(name, x + layer(x)) if spec.model["norm"] == "post" else x + layer(norm(name, x))

    def at_the_end(name, x):
        return x if spec.model["norm"] == "post" else norm(name, x)

    def embed(ids):
        angles = np.arange(len(ids))[:, None] * 10_000.0 ** -(np.arange(width // 2) / (width // 2 - 1))
        return table[ids] + np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)

    x = embed(source)
    for name in (f"encoder.{i}" for i in range(spec.model["depth"])):
        x = with_residual(f"{name}.norm1", x, lambda y, name=name: attention(f"{name}.attention", y, y, True))
        x = with_residual(f"{name}.norm2", x, lambda y, name=name: mlp(f"{name}.mlp", y))
    encoded, past = at_the_end("encoder_norm", x), np.tri(len(target)) == 1
    x = embed(np.append(before, target[:-1]))
    for name in (f"decoder.{i}" for i in range(spec.model["depth"])):
        x = with_residual(f"{name}.norm1", x, lambda y, name=name: attention(f"{name}.self_attention", y, y, past))
        x = with_residual(
            f"{name}.norm2", x, lambda y, name=name: attention(f"{name}.cross_attention", y, encoded, True)
        )
        x = with_residual(f"{name}.norm3", x, lambda y, name=name: mlp(f"{name}.mlp", y))
    return at_the_end("decoder_norm", x) @ table.T / np.sqrt(width)


@pytest.mark.parametrize("framework", MODELS)
@pytest.mark.parametrize("name", of_bases(["wmt", *variants("wmt")]))
def test_each_packed_pair_has_what_the_networks_definition_gives_for_it_alone(name, framework):
    """But for the token before its first, which is the one that stands before it in the row."""
    model, tensors, batch = small_model(name, framework), small_tensors(name), small_batch(name)
    logits = model.logits(tensors, batch, EVAL)
    num_pairs = 0
    for row, targets in enumerate(batch["targets"]):
        for segment in np.unique(batch["targets_segmentation"][row]):
            source = batch["inputs"][row, batch["inputs_segmentation"][row] == segment]
            (places,) = np.nonzero(batch["targets_segmentation"][row] == segment)
            if segment == 0 or len(source) == 0:
                continue
            before = targets[places[0] - 1] if places[0] > 0 else 0
            expected = numpy_logits(model.spec, tensors, source, targets[places], before)
            assert relative_error(logits[row, places], expected) < 1e-9
            num_pairs += 1
    assert num_pairs > len(batch["targets"])


@pytest.mark.parametrize("framework", MODELS)
def test_a_row_of_one_pair_needs_no_positions_and_segments(framework):
    model, tensors, batch = small_model("wmt", framework), small_tensors("wmt"), small_batch("wmt")
    sides = {side: np.where(batch[f"{side}_segmentation"] == 1, batch[side], 0) for side in ("inputs", "targets")}
    places = np.broadcast_to(np.arange(batch["inputs"].shape[1]), batch["inputs"].shape)
    whole = sides | {f"{side}_position": places for side in sides}
    whole |= {f"{side}_segmentation": (ids > 0).astype(np.int32) for side, ids in sides.items()}
    first, second = (model.logits(tensors, each, EVAL) for each in (sides, whole))
    np.testing.assert_allclose(first, second, rtol=1e-9)


@pytest.mark.parametrize("framework", MODELS)
def test_a_target_is_told_from_the_targets_before_it_alone(framework):
    model, tensors, batch = small_model("wmt", framework), small_tensors("wmt"), small_batch("wmt")
    changed = {**batch, "targets": batch["targets"].copy()}
    changed["targets"][0, 1] = 5
    assert batch["targets_segmentation"][0, 2] == 1
    assert batch["targets"][0, 1] != 5
    first, second = (model.logits(tensors, each, EVAL)[0] for each in (batch, changed))
    np.testing.assert_array_equal(second[:2], first[:2])
    assert relative_error(second[2], first[2]) > 1e-3


@pytest.mark.parametrize("framework", TWINS)
@pytest.mark.parametrize("name", of_bases(["wmt", "wmt_glu_tanh"]))
def test_of_dropped_values_the_last_norms_bias_remains(name, framework):
    """Dropped are the tokens with their positions, and all that the blocks would add to them."""
    model, tensors, batch = small_model(name, framework), small_tensors(name), small_batch(name)
    logits = model.logits(tensors, batch, dataclasses.replace(TRAIN, dropout_rate=1.0))
    table, bias = tensors["shared_embedding.weight"], tensors["decoder_norm.bias"]
    expected = np.broadcast_to(table @ bias.astype(np.float64) / np.sqrt(len(bias)), logits.shape)
    np.testing.assert_allclose(logits, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("framework", MODELS)
@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (dict(norm="batch"), "there is no norm 'batch'; the choices are pre, post."),
        (dict(gate="sigmoid"), "there is no gate 'sigmoid'; the choices are none, linear."),
        (dict(activation="elu"), "there is no activation 'elu'; the choices are relu, "),
    ],
)
def test_impossible_models_are_refused(framework, model, sentence):
    with pytest.raises(UsageError, match=re.escape(sentence)):
        MODELS[framework](replace(small_spec("wmt"), {"model": model}))
