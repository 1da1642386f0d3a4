"""A submission of a test's own: the lines of its step and of its state, in the official functions.

In PyTorch by hand: to import PyTorch's optimizers, which import its compiler, takes longer than a short trial does.
"""

import json
import textwrap
from pathlib import Path

_SUBMISSION = """
IMPORTED

def get_batch_size(workload_name):
    return BATCH_SIZE

def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
INIT

def update_params(workload, current_param_container, current_params_types, model_state, hyperparameters, batch,
                  loss_type, optimizer_state, eval_results, global_step, rng):
    state, params = optimizer_state, current_param_container
STEP
    return state, params, model_state

def data_selection(workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters,
                   global_step, rng):
    return next(input_queue)

MORE
"""

# What a step in PyTorch imports, and how it begins: it has the gradients then, of the mean over the batch's examples.
PYTORCH = "import torch\nfrom algoperf.spec import ForwardPassMode\n"
GRADIENTS = """
params.zero_grad()
logits, _ = workload.model_fn(params, batch, None, ForwardPassMode.TRAIN, rng, True)
loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
(loss["summed"] / loss["n_valid_examples"]).backward()
"""


def write(
    folder: Path,
    step: str = "pass",
    init: str = "return {}",
    imported: str = "",
    more: str = "",
    batch_size: str = "16 * 256",
) -> Path:
    """A submission whose step is `step`; it has `state`, `params`, `global_step`, `eval_results` and all the others."""
    folder.mkdir(parents=True, exist_ok=True)
    text = _SUBMISSION.replace("BATCH_SIZE", batch_size).replace("MORE", textwrap.dedent(more))
    text = text.replace("INIT", textwrap.indent(textwrap.dedent(init), "    "))
    text = text.replace("IMPORTED", textwrap.dedent(imported))
    (folder / "submission.py").write_text(text.replace("STEP", textwrap.indent(textwrap.dedent(step), "    ")))
    return folder


def write_points(folder: Path, *points: dict[str, float]) -> None:
    """The points of a submission's search."""
    (folder / "search_space.json").write_text(json.dumps(points), "utf-8")


def write_two_steps(folder: Path, learning_rates: tuple[float, ...] = (1e-2,)) -> Path:
    """The folder of one in PyTorch that goes two steps down the gradient, with a point for each learning rate."""
    descent = """
with torch.no_grad():
    for parameter in params.parameters():
        parameter -= hyperparameters.learning_rate * parameter.grad
"""
    write(
        folder,
        f"if global_step == 2:\n    raise TrainingCompleteError{GRADIENTS}{descent}",
        imported=f"{PYTORCH}from algoperf.spec import TrainingCompleteError\nfrom submissions import batch_sizes",
        batch_size="batch_sizes.BATCH_SIZES[workload_name]",
    )
    write_points(folder, *({"learning_rate": rate} for rate in learning_rates))
    return folder
