"""What Transformers share beside attention, in PyTorch. The twin of `transformer_jax.py`."""

from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from algoperf.benchmark.facts import ParameterType
from workloads.layers.attention_pytorch import initialized


def mlp_linear(in_features: int, out_features: int) -> nn.Linear:
    """A layer of an MLP; its bias starts from next to nothing."""
    layer = initialized(nn.Linear, in_features, out_features)
    nn.init.normal_(layer.bias, std=1e-6)
    return layer


class TiedEmbedding(nn.Module):
    """A table of a vector for each token, from a normal distribution, which also scores the tokens at the end."""

    TYPES: ClassVar = {"weight": ParameterType.EMBEDDING}

    def __init__(self, num_embeddings: int, features: int, std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_embeddings, features).normal_(std=std))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """ids (...) -> (..., features)."""
        return functional.embedding(ids, self.weight)

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        """(..., features) -> its product with the vector of each token, (..., num_embeddings) in the table's dtype."""
        return functional.linear(x, self.weight.to(x.dtype)).to(self.weight.dtype)
