"""Distributed Shampoo (Anil et al. 2020): each block preconditioned in all its dimensions, grafted to another's length.

Decoupled weight decay, linear warm-up, cosine decay.
"""

from algoperf.kit.hyperparameters import betas
from algoperf.kit.pytorch import TorchSubmission
from algoperf.kit.schedules_pytorch import warmup_cosine
from algoperf.kit.shampoo_pytorch import Shampoo
from submissions.batch_sizes import BATCH_SIZES


def optimizer(model, hyperparameters, workload):
    shampoo = Shampoo(
        model.parameters(),
        lr=hyperparameters.learning_rate,
        betas=betas(hyperparameters),
        weight_decay=hyperparameters.weight_decay,
    )
    return shampoo, warmup_cosine(hyperparameters, workload.step_hint)


submission = TorchSubmission(optimizer, BATCH_SIZES)
