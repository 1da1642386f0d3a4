"""What only CUDA has: kernels for which PyTorch knows no shapes, and choices of kernels that it makes by the device."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

_LSTM = 2  # cuDNN's number for it
# What cuDNN keeps of each hidden value for the backward pass: four gates, the cell and its activation.
_KEPT_BY_LSTM = 6


def _lstm(
    x: torch.Tensor,
    start: tuple[torch.Tensor, torch.Tensor],
    weights: Sequence[torch.Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """`torch.lstm` of sequences, by cuDNN."""
    hx, cx = start
    output, hy, cy, _, _ = torch.ops.aten._cudnn_rnn(
        *(x, weights, 4 if has_biases else 2, None, hx, cx, _LSTM, hx.shape[-1], 0, num_layers),
        *(batch_first, dropout, train, bidirectional, [], None),
    )
    return output, hy, cy


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """By the kernel that PyTorch takes: flash attention for half precision without a mask, else the efficient one."""
    del enable_gqa
    if query.dtype in (torch.bfloat16, torch.float16) and attn_mask is None:
        return torch.ops.aten._scaled_dot_product_flash_attention(query, key, value, dropout_p, is_causal, scale=scale)[
            0
        ]
    needs_gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (query, key, value))
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:  # PyTorch makes numbers of it
            attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill_(attn_mask.logical_not(), -math.inf)
        attn_mask = attn_mask.expand(*query.shape[:3], key.shape[2])
    return torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, attn_mask, needs_gradient, dropout_p, is_causal, scale=scale
    )[0]


def kernels() -> torch.library.Library:
    """Kernels of CUDA for which PyTorch knows no shapes, as long as the library is not destroyed."""
    library = torch.library.Library("aten", "IMPL", "Meta")
    for name, function in {
        "_cudnn_rnn": _cudnn_rnn,
        "_cudnn_rnn_backward": _cudnn_rnn_backward,
        "batch_norm_stats": lambda x, eps: _statistics(x, 2),
        "batch_norm_gather_stats_with_counts": lambda x, mean, *others: _statistics(x, 2),
        "batch_norm_elemt": lambda x, *others: torch.empty_like(x),
        "batch_norm_backward_reduce": lambda gradient, x, *others: _statistics(x, 4),
        "batch_norm_backward_elemt": lambda gradient, x, *others: torch.empty_like(x),
    }.items():
        library.impl(name, function, allow_override=True)
    return library


def _statistics(x: torch.Tensor, count: int) -> tuple[torch.Tensor, ...]:
    """One number for each channel; of half precision, sums are in float32."""
    dtype = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype
    return tuple(x.new_empty(x.shape[1], dtype=dtype) for _ in range(count))


def _cudnn_rnn(x: Any, weight: Any, stride: Any, buffer: Any, hx: Any, cx: Any, mode: Any, hidden: Any, *others: Any):
    """Output, last states, what is kept for the backward pass, and all weights in one."""
    del stride, buffer, mode
    _, _, _, _, train, *_ = others
    values = x.numel() // x.shape[-1] * hx.shape[0] * hidden
    return (
        x.new_empty(*x.shape[:-1], hx.shape[0] * hidden),
        torch.empty_like(hx),
        torch.empty_like(cx),
        x.new_empty(values * _KEPT_BY_LSTM * x.element_size() if train else 0, dtype=torch.uint8),
        x.new_empty(sum(part.numel() for part in weight)),
    )


def _cudnn_rnn_backward(x: Any, weight: Any, stride: Any, buffer: Any, hx: Any, cx: Any, *others: Any):
    del stride, buffer, others
    return (*map(torch.empty_like, (x, hx, cx)), [torch.empty_like(part) for part in weight])


def _linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """In half precision where autocast, which a build for CPUs has not for CUDA, would take the weight to it."""
    if x.dtype in (torch.bfloat16, torch.float16):
        weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
    return _LINEAR(x, weight, bias)


_LINEAR = nn.functional.linear

# Functions of PyTorch -> what they do on a GPU.
STAND_INS = {
    torch.lstm: _lstm,
    nn.functional.scaled_dot_product_attention: _attention,
    nn.functional.linear: _linear,
}
