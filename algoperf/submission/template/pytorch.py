"""A training algorithm in PyTorch: the five functions of the official API, written out. It is AdamW; make it yours.

The harness calls `init_optimizer_state` once, and then at each step `data_selection` and `update_params`, which are
charged to you. Evaluations, the preparation of data and checkpoints are free. Start with `update`, below.
"""

import math

import torch

from algoperf.pytorch_utils import sum_over_processes
from algoperf.spec import ForwardPassMode
from submissions.batch_sizes import BATCH_SIZES

EPSILON = 1e-8
LOGGED_EVERY = 100  # steps


def get_batch_size(workload_name):
    """How many examples a step has, over all devices. These are the baselines' numbers; yours can be others."""
    return BATCH_SIZES[workload_name]


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    """All that you need at each step. A checkpoint keeps tensors, numbers and whatever has a `state_dict`."""
    del workload, model_state, hyperparameters, rng
    return {
        "mean": [torch.zeros_like(parameter) for parameter in model_params.parameters()],
        "mean_of_squares": [torch.zeros_like(parameter) for parameter in model_params.parameters()],
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
    """One step. The harness keeps what you return and gives it back at the next one."""
    del current_params_types, loss_type, eval_results
    model = current_param_container
    model.train()
    model.zero_grad()
    logits, model_state = workload.model_fn(
        model, batch, model_state, ForwardPassMode.TRAIN, rng, update_batch_norm=True
    )
    loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
    # Each GPU has a process with its share of the batch; this is the mean over all of them, and so is its gradient.
    mean_loss = sum_over_processes(loss["summed"]) / sum_over_processes(loss["n_valid_examples"])
    mean_loss.backward()
    rate = hyperparameters.learning_rate * schedule(hyperparameters.warmup_factor, global_step, workload.step_hint)
    update(hyperparameters, rate, optimizer_state, model, global_step + 1)
    if workload.metrics_logger is not None and global_step % LOGGED_EVERY == 0:
        # Costs you nothing: the value is looked at when the clock has stopped. So no loss.item() here.
        workload.metrics_logger.append_scalar_metrics({"loss": mean_loss.detach()}, global_step)
    return optimizer_state, model, model_state


def schedule(warmup_factor, global_step, step_hint):
    """A factor of the learning rate: linear warm-up, then a cosine to 0 at about the step where time is up."""
    warmup_steps = max(1, int(warmup_factor * step_hint))
    progress = min(1.0, max(0.0, (global_step - warmup_steps) / max(1, step_hint - warmup_steps)))
    return min(1.0, (global_step + 1) / warmup_steps) * 0.5 * (1 + math.cos(math.pi * progress))


@torch.no_grad()
def update(hyperparameters, rate, state, model, count):
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101): here your idea goes.

    Changes the parameters and the state in place, from each parameter's `grad`; `count` is 1 at the first step.
    """
    b1, b2 = 1 - hyperparameters.one_minus_beta1, hyperparameters.beta2
    for p, m, v in zip(model.parameters(), state["mean"], state["mean_of_squares"], strict=True):
        if p.grad is None:
            continue
        m.copy_(b1 * m + (1 - b1) * p.grad)
        v.copy_(b2 * v + (1 - b2) * p.grad**2)
        direction = (m / (1 - b1**count)) / ((v / (1 - b2**count)).sqrt() + EPSILON)
        p.sub_(rate * (direction + hyperparameters.weight_decay * p))


def prepare_for_eval(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    """Called before each evaluation, and charged: return other parameters here, such as an average. May be deleted."""
    del workload, current_params_types, hyperparameters, loss_type, eval_results, global_step, rng
    return optimizer_state, current_param_container, model_state


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
    """The batch of the next step: the queue gives as many examples as `get_batch_size` says, shuffled each epoch."""
    del workload, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
    return next(input_queue)
