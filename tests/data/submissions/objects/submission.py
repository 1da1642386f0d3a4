"""State of every kind: objects of its own, closures over them, shared tensors, a list that grows, types of number."""

import collections
import dataclasses

import numpy as np
import torch

from algoperf import spec

Pair = collections.namedtuple("Pair", "count scale")


@dataclasses.dataclass
class Momentum:
    params: list
    buffers: list
    steps: int = 0


class Schedule:
    """Called like a function, with a memory."""

    def __init__(self):
        self.rate = 0.02

    def __call__(self):
        self.rate *= 0.9
        return self.rate


class CoarseSGD(torch.optim.Optimizer):
    """Keeps bfloat16 and integers beside float32 parameters."""

    @torch.no_grad()
    def step(self):
        for param in self.param_groups[0]["params"]:
            state = self.state[param]
            if not state:
                state["mean"] = torch.zeros_like(param, dtype=torch.bfloat16)
                state["signs"] = torch.zeros_like(param, dtype=torch.int64)
                state["parts"] = {"largest": torch.zeros((), dtype=torch.float64)}
            state["mean"].lerp_(param.grad.bfloat16(), 0.1)
            state["signs"] += param.grad.sign().long()
            state["parts"]["largest"] += param.grad.abs().max()
            step = state["mean"].float() + 1e-3 * state["signs"] / (1 + state["parts"]["largest"])
            param.sub_(self.param_groups[0]["lr"] * step)


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    params = list(model_params.parameters())
    momentum = Momentum(params, [torch.zeros_like(param) for param in params])

    def apply(rate):
        with torch.no_grad():
            for param, buffer in zip(momentum.params, momentum.buffers, strict=True):
                buffer.mul_(0.9).add_(param.grad)
                param.sub_(rate * buffer)
        momentum.steps += 1

    return {
        "momentum": momentum,
        "apply": apply,
        "coarse": CoarseSGD(params, {"lr": 0.01}),
        "schedule": Schedule(),
        "pair": Pair(np.zeros(3), 1.0),
        "losses": [],
        0: None,
        "workload": workload,
    }


def update_params(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    batch,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    current_param_container.zero_grad()
    logits, _ = workload.model_fn(
        current_param_container, batch, model_state, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True
    )
    loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
    mean = loss["summed"] / loss["n_valid_examples"]
    mean.backward()
    losses, pair = optimizer_state["losses"], optimizer_state["pair"]
    losses.append(mean.item())
    optimizer_state["pair"] = Pair(pair.count + np.arange(3), pair.scale * losses[-1] / losses[0])
    optimizer_state["apply"](optimizer_state["schedule"]() * optimizer_state["pair"].scale)
    optimizer_state["coarse"].step()
    assert optimizer_state["momentum"].steps == len(losses) == global_step + 1
    assert isinstance(pair.count, np.ndarray)
    return optimizer_state, current_param_container, None


def get_batch_size(workload_name):
    return 262_144


def data_selection(
    workload,
    input_queue,
    optimizer_state,
    current_param_container,
    model_state,
    hyperparameters,
    global_step,
    rng,
):
    return next(input_queue)
