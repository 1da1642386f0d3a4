"""The graph network in both frameworks against the reference implementation's numbers (tests/oracle/README.md)."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest

from algoperf.benchmark.facts import UsageError, replace
from algoperf.benchmark.registry import load_spec, variants
from tests import oracle
from tests.support.functional_models import EVAL, MODELS, TRAIN, nadamw_trajectory, relative_error
from tests.support.nightly import FULL_SIZE, TWINS, of_bases
from tests.support.small_models import small_batch, small_model, small_tensors

SPEC = load_spec("ogbg")
NUMBERS = oracle.numbers("ogbg")
ARRAYS = oracle.arrays("ogbg")
NUM_GRAPHS = NUMBERS["batch_size"]  # one more is padding


@pytest.fixture(scope="module")
def batch():
    batch = oracle.ogbg_batch(NUMBERS["batch_size"])
    flat = {f"batch/inputs/{name}": array for name, array in batch["inputs"].items()}
    flat |= {f"batch/{name}": batch[name] for name in ("targets", "weights")}
    for name, array in flat.items():
        assert np.array_equal(array, ARRAYS[name]), name
    return batch


def padded(batch, nodes, edges, graphs):
    """The batch with so many more nodes, edges and graphs, which mean nothing, and other features in its padding."""
    inputs = batch["inputs"]
    last = len(inputs["n_node"]) - 1
    num_real = {name: inputs[count][:last].sum() for name, count in (("nodes", "n_node"), ("edges", "n_edge"))}
    more = {"nodes": nodes, "edges": edges}
    features = {name: np.pad(inputs[name], ((0, count), (0, 0))) for name, count in more.items()}
    for name, count in num_real.items():
        features[name][count:] = 3
    ends = {
        name: np.pad(inputs[name], (0, edges), constant_values=num_real["nodes"]) for name in ("senders", "receivers")
    }
    counts = {name: np.pad(inputs[name], (0, graphs)) for name in ("n_node", "n_edge")}
    counts["n_node"][last] += nodes
    counts["n_edge"][last] += edges
    labels = {name: np.pad(batch[name], ((0, graphs), (0, 0))) for name in ("targets", "weights")}
    return {"inputs": {**features, **ends, **counts}, **labels}


@pytest.fixture(scope="module")
def larger_batch():
    return oracle.ogbg_batch(NUMBERS["trajectory"]["batch_size"])


@pytest.fixture(scope="module", params=FULL_SIZE)
def run(request, batch, larger_batch):
    """The model with the oracle's weights: itself, its weights, the batch as large as the other, and a pass with it.

    What makes the batch larger is padding; so JAX compiles but once.
    """
    model = MODELS[request.param](SPEC)
    tensors = oracle.canonical_weights(SPEC, model.shapes())
    more = (len(larger_batch["inputs"][kind]) - len(batch["inputs"][kind]) for kind in ("nodes", "edges", "n_node"))
    enlarged = padded(batch, *more)
    return SimpleNamespace(model=model, tensors=tensors, batch=enlarged, first=model.train(tensors, enlarged))


def test_logits_of_evaluation_agree_with_the_reference(run):
    logits = run.model.logits(run.tensors, run.batch, EVAL)
    assert relative_error(logits[:NUM_GRAPHS], ARRAYS["eval/logits"][:NUM_GRAPHS]) < 1e-5


def test_training_agrees_with_the_reference(run):
    assert relative_error(run.first.logits[:NUM_GRAPHS], ARRAYS["train/logits"][:NUM_GRAPHS]) < 1e-5
    assert run.first.mean_loss == pytest.approx(float(ARRAYS["mean_loss"]), rel=1e-5)


def test_gradients_agree_with_the_reference(run):
    errors = oracle.gradient_errors(SPEC, run.first.gradients)
    assert errors.norms.max() < 1e-5
    assert errors.probes.max() < 1e-5


def test_nadamw_follows_the_reference(run, larger_batch):
    expected = NUMBERS["trajectory"]
    trajectory = nadamw_trajectory(run.model, run.tensors, larger_batch, expected["hparams"], num_steps=5)
    assert trajectory.losses == pytest.approx(expected["losses"][:5], rel=2e-4)
    assert trajectory.gradient_norms == pytest.approx(expected["grad_norms"][:5], rel=1e-3)


@pytest.mark.parametrize("framework", TWINS)
def test_padding_is_without_influence(framework):
    model, batch = small_model("ogbg", framework), small_batch("ogbg")
    first, second = (model.train(small_tensors("ogbg"), each) for each in (batch, padded(batch, 7, 5, 3)))
    real = len(batch["targets"]) - 1
    np.testing.assert_allclose(second.logits[:real], first.logits[:real], rtol=1e-12)
    assert second.mean_loss == pytest.approx(first.mean_loss, rel=1e-12)
    for name, gradient in first.gradients.items():
        assert relative_error(second.gradients[name], gradient) < 1e-10, name


def numpy_logits(spec, tensors, graph):
    """What the definition of the network gives for one graph, (num_tasks,)."""
    activate = {
        "relu": lambda x: np.maximum(x, 0),
        "silu": lambda x: x / (1 + np.exp(-x)),
        "gelu": lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    }[spec.model["activation"]]

    def linear(name, x):
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    def mlp(name, *parts):
        x = np.concatenate(parts, axis=-1)
        for layer in range(len(spec.model["hidden_dims"])):
            x = linear(f"{name}.linears.{layer}", x)
            x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
            norm = f"{name}.norms.{layer}"
            x = activate(x * tensors[f"{norm}.weight"] + tensors[f"{norm}.bias"])
        return x

    senders, receivers = graph["senders"], graph["receivers"]
    nodes, edges = linear("node_encoder", graph["nodes"]), linear("edge_encoder", graph["edges"])
    whole = np.zeros((1, spec.model["num_tasks"]))
    for step in range(spec.model["num_message_passing_steps"]):
        names = [f"steps.{step}.{part}" for part in ("edge", "node", "graph")]
        edges = mlp(names[0], edges, nodes[senders], nodes[receivers], whole.repeat(len(edges), 0))
        sent, received = (np.eye(len(nodes))[ends].T @ edges for ends in (senders, receivers))
        nodes = mlp(names[1], nodes, sent, received, whole.repeat(len(nodes), 0))
        whole = mlp(names[2], nodes.sum(0, keepdims=True), edges.sum(0, keepdims=True), whole)
    return linear("decoder", whole)[0]


@pytest.mark.parametrize("framework", MODELS)
@pytest.mark.parametrize("name", of_bases(["ogbg", *variants("ogbg")]))
def test_each_graph_has_what_the_networks_definition_gives_for_it_alone(name, framework):
    model, tensors, batch = small_model(name, framework), small_tensors(name), small_batch(name)
    logits, inputs = model.logits(tensors, batch, EVAL), batch["inputs"]
    nodes, edges = (np.concatenate([[0], np.cumsum(inputs[count])]) for count in ("n_node", "n_edge"))
    for graph in range(len(batch["targets"]) - 1):
        (node, last_node), (edge, last_edge) = nodes[graph : graph + 2], edges[graph : graph + 2]
        alone = {
            "nodes": inputs["nodes"][node:last_node].astype(float),
            "edges": inputs["edges"][edge:last_edge].astype(float),
            "senders": inputs["senders"][edge:last_edge] - node,
            "receivers": inputs["receivers"][edge:last_edge] - node,
        }
        assert relative_error(logits[graph], numpy_logits(model.spec, tensors, alone)) < 1e-12


@pytest.mark.parametrize("framework", TWINS)
def test_of_dropped_values_the_decoders_bias_remains(framework):
    model, tensors = small_model("ogbg", framework), small_tensors("ogbg")
    logits = model.logits(tensors, small_batch("ogbg"), dataclasses.replace(TRAIN, dropout_rate=1.0))
    np.testing.assert_array_equal(logits, np.broadcast_to(tensors["decoder.bias"], logits.shape))


@pytest.mark.parametrize("framework", MODELS)
def test_an_unknown_activation_is_refused(framework):
    sentence = "there is no activation 'elu'; the choices are relu, silu, gelu, tanh."
    with pytest.raises(UsageError, match=re.escape(sentence)):
        MODELS[framework](replace(SPEC, {"model": dict(activation="elu")}))
