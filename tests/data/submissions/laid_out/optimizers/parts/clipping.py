import torch

from .rule_types import Momentum

assert Momentum.__module__.endswith("laid_out.optimizers.parts.rule_types")


def clip(model, max_norm):
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=max_norm)
