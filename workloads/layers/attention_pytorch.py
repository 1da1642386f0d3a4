"""The projections of attention in PyTorch, whose parameters have types of their own. The twin of `attention_jax.py`."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import nn

from algoperf.benchmark.facts import ParameterType


def projection_types(weight: ParameterType) -> dict[str, ParameterType]:
    """What the parameters of a projection are whose weight has this type."""
    return {"weight": weight, "bias": ParameterType.ATTENTION_BIAS}


class Query(nn.Linear):
    TYPES: ClassVar = projection_types(ParameterType.ATTENTION_Q)


class Key(nn.Linear):
    TYPES: ClassVar = projection_types(ParameterType.ATTENTION_K)


class Value(nn.Linear):
    TYPES: ClassVar = projection_types(ParameterType.ATTENTION_V)


class Out(nn.Linear):
    TYPES: ClassVar = projection_types(ParameterType.ATTENTION_OUT)


def initialized(
    layer: type[nn.Linear],
    in_features: int,
    out_features: int,
    init: Callable[[torch.Tensor], Any] = nn.init.xavier_uniform_,
    *,
    bias: bool = True,
) -> nn.Linear:
    """A layer of this type whose weight is drawn by `init`; its bias, if it has one, is zero."""
    linear = layer(in_features, out_features, bias)
    init(linear.weight)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear
