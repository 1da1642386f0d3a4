"""A submission in PyTorch for tests of what is around a trial: to import PyTorch's optimizers takes longer than both of
its steps."""

import json
from pathlib import Path

SOURCE = '''"""Two steps of gradient descent."""

import torch

from algoperf.spec import ForwardPassMode, TrainingCompleteError
from submissions.batch_sizes import BATCH_SIZES


def get_batch_size(workload_name):
    return BATCH_SIZES[workload_name]


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    return {}


def update_params(workload, current_param_container, current_params_types, model_state, hyperparameters, batch,
                  loss_type, optimizer_state, eval_results, global_step, rng):
    if global_step == 2:
        raise TrainingCompleteError
    model = current_param_container
    logits, _ = workload.model_fn(model, batch, None, ForwardPassMode.TRAIN, rng, True)
    loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
    (loss["summed"] / loss["n_valid_examples"]).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= hyperparameters.learning_rate * parameter.grad
    model.zero_grad()
    return optimizer_state, model, None


def data_selection(workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters,
                   global_step, rng):
    return next(input_queue)
'''


def write(folder: Path, learning_rates: tuple[float, ...] = (1e-2,)) -> Path:
    """The folder, with a point for each learning rate."""
    folder.mkdir(parents=True)
    (folder / "pytorch.py").write_text(SOURCE, "utf-8")
    (folder / "search_space.json").write_text(json.dumps([{"learning_rate": rate} for rate in learning_rates]), "utf-8")
    return folder
