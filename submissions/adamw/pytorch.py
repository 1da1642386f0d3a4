"""AdamW (Loshchilov and Hutter 2019): Adam with decoupled weight decay, linear warm-up, cosine decay."""

import torch

from algoperf.kit.hyperparameters import betas
from algoperf.kit.pytorch import TorchSubmission
from algoperf.kit.schedules_pytorch import warmup_cosine
from submissions.batch_sizes import BATCH_SIZES


def optimizer(model, hyperparameters, workload):
    adamw = torch.optim.AdamW(
        model.parameters(),
        lr=hyperparameters.learning_rate,
        betas=betas(hyperparameters),
        weight_decay=hyperparameters.weight_decay,
        fused=True,
    )
    return adamw, warmup_cosine(hyperparameters, workload.step_hint)


submission = TorchSubmission(optimizer, BATCH_SIZES)
