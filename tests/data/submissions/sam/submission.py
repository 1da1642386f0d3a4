"""Self-tuning: an optimizer inside of an optimizer, two passes a step, hyperparameters of the module; no `train_state`.

The inner optimizer's moments are not in the outer one's `state_dict`, as in SAM's usual implementation.
"""

from types import SimpleNamespace

import torch

from algoperf import spec

HPARAMS = SimpleNamespace(rho=0.05, learning_rate=0.003, weight_decay=0.01)


class TwoSteps(torch.optim.Optimizer):
    def __init__(self, params, inner, rho, **named):
        super().__init__(params, dict(rho=rho, **named))
        self.inner = inner(self.param_groups, **named)
        self.param_groups = self.inner.param_groups

    @torch.no_grad()
    def step(self, closure):
        closure = torch.enable_grad()(closure)
        closure(True)
        params = [param for group in self.param_groups for param in group["params"]]
        norm = torch.stack([param.grad.norm() for param in params]).norm()
        for param in params:
            self.state[param]["here"] = param.clone()
            param.add_(param.grad * (self.param_groups[0]["rho"] / (norm + 1e-6)))
        loss = closure(False)
        for param in params:
            param.copy_(self.state[param]["here"])
        self.inner.step()
        return loss


def get_batch_size(workload_name):
    return 262_144


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    assert hyperparameters is None
    optimizer = TwoSteps(
        model_params.parameters(),
        torch.optim.AdamW,
        HPARAMS.rho,
        lr=HPARAMS.learning_rate,
        weight_decay=HPARAMS.weight_decay,
    )
    # The schedule is the outer optimizer's; the inner one must go on hearing of it.
    return {"optimizer": optimizer, "scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)}


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
    def closure(update_batch_norm):
        optimizer_state["optimizer"].zero_grad()
        logits, _ = workload.model_fn(
            current_param_container,
            batch,
            model_state,
            spec.ForwardPassMode.TRAIN,
            rng,
            update_batch_norm,
            dropout_rate=0.1,
        )
        loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
        (loss["summed"] / loss["n_valid_examples"]).backward()
        return loss["summed"]

    optimizer_state["optimizer"].step(closure)
    optimizer_state["scheduler"].step()
    return optimizer_state, current_param_container, None


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
