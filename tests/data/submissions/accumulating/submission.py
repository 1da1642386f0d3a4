"""Updates every second step with the gradients of two batches; the model and a part of the optimizer are compiled."""

import torch

from algoperf import spec


@torch.compile(backend="eager")
def scaled(grad):
    return grad / (grad.norm() + 1e-6)


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    return {
        "compiled": torch.compile(model_params, backend="eager"),
        "optimizer": torch.optim.Adam(model_params.parameters(), lr=0.003),
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
    model, optimizer = optimizer_state["compiled"], optimizer_state["optimizer"]
    logits, _ = workload.model_fn(model, batch, model_state, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True)
    loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
    (loss["summed"] / loss["n_valid_examples"] / 2).backward()
    if global_step % 2:
        for param in current_param_container.parameters():
            param.grad = scaled(param.grad)
        optimizer.step()
        optimizer.zero_grad()
    return optimizer_state, model, None


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
