"""Distributed Shampoo with decoupled weight decay, linear warm-up, cosine decay."""

from algoperf.kit.pytorch import TorchSubmission, warmup_cosine
from algoperf.kit.shampoo_pytorch import Shampoo
from submissions.batch_sizes import BATCH_SIZES


def optimizer(parameters, hyperparameters, step_hint):
    shampoo = Shampoo(
        parameters,
        lr=hyperparameters.learning_rate,
        betas=(1 - hyperparameters.one_minus_beta1, hyperparameters.beta2),
        weight_decay=hyperparameters.weight_decay,
    )
    return shampoo, warmup_cosine(hyperparameters.warmup_factor, step_hint)


submission = TorchSubmission(optimizer, BATCH_SIZES)
