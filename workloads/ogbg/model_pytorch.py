"""A graph network (Battaglia et al. 2018) in PyTorch.

The twin of `model_jax.py`. A batch is one large graph: N nodes and E edges of G graphs that are not connected.
"""

import itertools
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import nn

from algoperf.benchmark.facts import ParameterType
from workloads.layers.choices import choose
from workloads.layers.context import ForwardContext
from workloads.layers.pytorch import ACTIVATIONS, PYTORCH_TYPES, dropout, lecun_normal
from workloads.ogbg.sizes import NUM_EDGE_FEATURES, NUM_NODE_FEATURES


class Linear(nn.Linear):
    """A linear layer whose bias starts from zero."""

    TYPES: ClassVar = PYTORCH_TYPES[nn.Linear]

    def reset_parameters(self) -> None:
        self.weight = nn.Parameter(lecun_normal(*self.weight.shape))
        nn.init.zeros_(self.bias)


class Encoder(Linear):
    """Features, which are small whole numbers, -> vectors."""

    TYPES: ClassVar = {"weight": ParameterType.EMBEDDING, "bias": ParameterType.BIAS}


class Rows(NamedTuple):
    """Vectors (M, features), or of these those of the numbers `of` (N,): (N, features)."""

    vectors: torch.Tensor
    of: torch.Tensor | None = None


class Joined(Linear):
    """A linear function of several vectors for each row, joined to one: N x Rows -> (N, out_features).

    A vector that many rows share is multiplied once, before they take it.
    """

    def forward(self, joined: Sequence[Rows]) -> torch.Tensor:
        weights = self.weight.split([vectors.shape[1] for vectors, _ in joined], dim=1)
        y = self.bias
        for (vectors, of), weight in zip(joined, weights, strict=True):
            y = torch.addmm(y, vectors, weight.T) if of is None else y + (vectors @ weight.T).index_select(0, of)
        return y


class Mlp(nn.Module):
    """Linear layers of the widths `hidden_dims`, each with layer normalisation, activation and dropout."""

    def __init__(self, in_features: int, hidden_dims: Sequence[int], activation: str) -> None:
        super().__init__()
        first = Joined(in_features, hidden_dims[0])
        others = (Linear(*size) for size in itertools.pairwise(hidden_dims))
        self.linears = nn.ModuleList([first, *others])
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for width in hidden_dims)
        self.activate = choose("activation", activation, ACTIVATIONS)

    def forward(self, x: Sequence[Rows], ctx: ForwardContext) -> torch.Tensor:
        for linear, norm in zip(self.linears, self.norms, strict=True):
            x = dropout(self.activate(norm(linear(x))), ctx)
        return x


class Graphs(NamedTuple):
    """Which edge goes from and to which node (E,), and of which graph every edge (E,) and node (N,) is; ascending."""

    senders: torch.Tensor
    receivers: torch.Tensor
    of_edge: torch.Tensor
    of_node: torch.Tensor


class Step(nn.Module):
    """New vectors of edges, then of nodes from those of their edges, then of graphs from those of both."""

    def __init__(self, widths: tuple[int, int, int], hidden_dims: Sequence[int], activation: str) -> None:
        """widths: of the vectors of edges, nodes and graphs that come in; hidden_dims[-1] is what goes out."""
        super().__init__()
        edge, node, graph = widths
        new = hidden_dims[-1]
        self.edge = Mlp(edge + 2 * node + graph, hidden_dims, activation)
        self.node = Mlp(node + 2 * new + graph, hidden_dims, activation)
        self.graph = Mlp(2 * new + graph, hidden_dims, activation)

    def forward(
        self, edges: torch.Tensor, nodes: torch.Tensor, globals_: torch.Tensor, graphs: Graphs, ctx: ForwardContext
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        ends = (Rows(nodes, graphs.senders), Rows(nodes, graphs.receivers))
        edges = self.edge((Rows(edges), *ends, Rows(globals_, graphs.of_edge)), ctx)
        sent = sums(edges, graphs.senders, len(nodes))
        received = sums(edges, graphs.receivers, len(nodes))
        nodes = self.node((Rows(nodes), Rows(sent), Rows(received), Rows(globals_, graphs.of_node)), ctx)
        of_nodes = sums(nodes, graphs.of_node, len(globals_))
        of_edges = sums(edges, graphs.of_edge, len(globals_))
        return edges, nodes, self.graph((Rows(of_nodes), Rows(of_edges), Rows(globals_)), ctx)


def sums(vectors: torch.Tensor, of: torch.Tensor, count: int) -> torch.Tensor:
    """(M, features) -> (count, features): the sum of the vectors of each number in `of` (M,)."""
    return vectors.new_zeros(count, vectors.shape[1]).index_add_(0, of, vectors)


class GraphNetwork(nn.Module):
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
    ) -> None:
        super().__init__()
        self.num_tasks = num_tasks
        self.node_encoder = Encoder(NUM_NODE_FEATURES, latent_dim)
        self.edge_encoder = Encoder(NUM_EDGE_FEATURES, latent_dim)
        new = hidden_dims[-1]
        widths = [(latent_dim, latent_dim, num_tasks), *[(new, new, new)] * (num_message_passing_steps - 1)]
        self.steps = nn.ModuleList(Step(of_step, hidden_dims, activation) for of_step in widths)
        self.decoder = Linear(new, num_tasks)

    def forward(self, inputs: dict[str, torch.Tensor], ctx: ForwardContext) -> torch.Tensor:
        n_node, n_edge = inputs["n_node"], inputs["n_edge"]
        nodes, edges = self.node_encoder(inputs["nodes"]), self.edge_encoder(inputs["edges"])
        numbers = torch.arange(len(n_node), device=n_node.device)
        # With the size of its output, which a GPU would otherwise be asked for.
        of_edge = numbers.repeat_interleave(n_edge, output_size=len(edges))
        of_node = numbers.repeat_interleave(n_node, output_size=len(nodes))
        graphs = Graphs(inputs["senders"], inputs["receivers"], of_edge, of_node)
        globals_ = nodes.new_zeros(len(n_node), self.num_tasks)
        for step in self.steps:
            edges, nodes, globals_ = step(edges, nodes, globals_, graphs, ctx)
        return self.decoder(globals_)


MODEL = GraphNetwork
