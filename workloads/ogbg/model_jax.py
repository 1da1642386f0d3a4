"""A graph network (Battaglia et al. 2018) in JAX.

The twin of `model_pytorch.py`. A batch is one large graph: N nodes and E edges of G graphs that are not connected.
"""

import itertools
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from algoperf.benchmark.facts import ParameterType, UsageError
from workloads.layers.choices import choose
from workloads.layers.context import ForwardContext
from workloads.layers.jax import ACTIVATIONS, FLAX_LEAVES, Leaf, dropout
from workloads.ogbg.sizes import NUM_EDGE_FEATURES, NUM_NODE_FEATURES


class Encoder(nnx.Linear):
    """Features, which are small whole numbers, -> vectors."""

    LEAVES: ClassVar = {
        "kernel": Leaf("weight", axes=(1, 0), type=ParameterType.EMBEDDING),
        "bias": Leaf("bias", type=ParameterType.BIAS),
    }


class Rows(NamedTuple):
    """Vectors (M, features), or of these those of the numbers `of` (N,): (N, features)."""

    vectors: jax.Array
    of: jax.Array | None = None


class Joined(nnx.Linear):
    """A linear function of several vectors for each row, joined to one: N x Rows -> (N, out_features).

    A vector that many rows share is multiplied once, before they take it.
    """

    LEAVES: ClassVar = FLAX_LEAVES[nnx.Linear]

    def __call__(self, joined: Sequence[Rows]) -> jax.Array:
        y, begin = self.bias[...], 0
        for vectors, of in joined:
            end = begin + vectors.shape[1]
            product = vectors @ self.kernel[begin:end]
            y = y + (product if of is None else product.at[of].get(mode="promise_in_bounds"))
            begin = end
        return y


class Mlp(nnx.Module):
    """Linear layers of the widths `hidden_dims`, each with layer normalisation, activation and dropout."""

    def __init__(self, in_features: int, hidden_dims: Sequence[int], activation: str, *, rngs: nnx.Rngs) -> None:
        first = Joined(in_features, hidden_dims[0], rngs=rngs)
        others = (nnx.Linear(*size, rngs=rngs) for size in itertools.pairwise(hidden_dims))
        self.linears = nnx.List([first, *others])
        self.norms = nnx.List(nnx.LayerNorm(width, rngs=rngs) for width in hidden_dims)
        self.activate = choose("activation", activation, ACTIVATIONS)

    def __call__(self, x: Sequence[Rows], ctx: ForwardContext) -> jax.Array:
        for linear, norm in zip(self.linears, self.norms, strict=True):
            x = dropout(self.activate(norm(linear(x))), ctx)
        return x


class Graphs(NamedTuple):
    """Which edge goes from and to which node (E,), and of which graph every edge (E,) and node (N,) is; ascending."""

    senders: jax.Array
    receivers: jax.Array
    of_edge: jax.Array
    of_node: jax.Array


class Step(nnx.Module):
    """New vectors of edges, then of nodes from those of their edges, then of graphs from those of both."""

    def __init__(
        self, widths: tuple[int, int, int], hidden_dims: Sequence[int], activation: str, *, rngs: nnx.Rngs
    ) -> None:
        """widths: of the vectors of edges, nodes and graphs that come in; hidden_dims[-1] is what goes out."""
        edge, node, graph = widths
        new = hidden_dims[-1]
        self.edge = Mlp(edge + 2 * node + graph, hidden_dims, activation, rngs=rngs)
        self.node = Mlp(node + 2 * new + graph, hidden_dims, activation, rngs=rngs)
        self.graph = Mlp(2 * new + graph, hidden_dims, activation, rngs=rngs)

    def __call__(
        self, edges: jax.Array, nodes: jax.Array, globals_: jax.Array, graphs: Graphs, ctx: ForwardContext
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        ends = (Rows(nodes, graphs.senders), Rows(nodes, graphs.receivers))
        edges = self.edge((Rows(edges), *ends, Rows(globals_, graphs.of_edge)), ctx)
        sent = jax.ops.segment_sum(edges, graphs.senders, len(nodes), mode="promise_in_bounds")
        received = jax.ops.segment_sum(edges, graphs.receivers, len(nodes), mode="promise_in_bounds")
        nodes = self.node((Rows(nodes), Rows(sent), Rows(received), Rows(globals_, graphs.of_node)), ctx)
        of_nodes = _sums(nodes, graphs.of_node, len(globals_))
        of_edges = _sums(edges, graphs.of_edge, len(globals_))
        return edges, nodes, self.graph((Rows(of_nodes), Rows(of_edges), Rows(globals_)), ctx)


def _sums(vectors: jax.Array, of: jax.Array, count: int) -> jax.Array:
    return jax.ops.segment_sum(vectors, of, count, indices_are_sorted=True, mode="promise_in_bounds")


class GraphNetwork(nnx.Module):
    """Graphs -> logits (G, num_tasks).

    Inputs: nodes (N, 9), edges (E, 3); senders, receivers (E,), numbers of nodes; n_node, n_edge (G,), which add up to
    N and E: the nodes and edges of a graph stand together, graph after graph.
    """

    def __init__(
        self,
        latent_dim: int,
        hidden_dims: Sequence[int],
        num_message_passing_steps: int,
        activation: str,
        num_tasks: int,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        if jax.process_count() > 1:
            raise UsageError("ogbg in JAX runs in one process, with all devices: start one process on one node.")
        self.num_tasks = num_tasks
        self.node_encoder = Encoder(NUM_NODE_FEATURES, latent_dim, rngs=rngs)
        self.edge_encoder = Encoder(NUM_EDGE_FEATURES, latent_dim, rngs=rngs)
        new = hidden_dims[-1]
        widths = [(latent_dim, latent_dim, num_tasks), *[(new, new, new)] * (num_message_passing_steps - 1)]
        self.steps = nnx.List(Step(of_step, hidden_dims, activation, rngs=rngs) for of_step in widths)
        self.decoder = nnx.Linear(new, num_tasks, rngs=rngs)

    def __call__(self, inputs: dict[str, jax.Array], ctx: ForwardContext) -> jax.Array:
        n_node, n_edge = inputs["n_node"], inputs["n_edge"]
        nodes, edges = self.node_encoder(inputs["nodes"]), self.edge_encoder(inputs["edges"])
        numbers = jnp.arange(len(n_node))
        of_edge = jnp.repeat(numbers, n_edge, total_repeat_length=len(edges))
        of_node = jnp.repeat(numbers, n_node, total_repeat_length=len(nodes))
        graphs = Graphs(inputs["senders"], inputs["receivers"], of_edge, of_node)
        globals_ = jnp.zeros((len(n_node), self.num_tasks), nodes.dtype)
        for step in self.steps:
            edges, nodes, globals_ = step(edges, nodes, globals_, graphs, ctx)
        return self.decoder(globals_)


MODEL = GraphNetwork
