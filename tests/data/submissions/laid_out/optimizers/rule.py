"""Momentum whose update is compiled, in a package of its own."""

import torch

from optimizers.parts.rule_types import Momentum

from ..schedule import HALVED

assert HALVED


@torch.compile(backend="eager")
def direction(average, gradient, momentum: float):
    return momentum * average + gradient


class Rule(torch.optim.Optimizer):
    def __init__(self, params, lr, momentum: Momentum):
        super().__init__(params, dict(lr=lr, momentum=momentum.value))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for param in group["params"]:
                state = self.state[param]
                average = state.get("average", torch.zeros_like(param))
                state["average"] = direction(average, param.grad, group["momentum"])
                param.add_(state["average"], alpha=-group["lr"])
