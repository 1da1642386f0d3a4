"""Distributed Shampoo (Anil et al. 2020): each block preconditioned in all its dimensions, grafted to another's length.

Decoupled weight decay, linear warm-up, cosine decay.
"""

import optax

from algoperf.kit.hyperparameters import betas
from algoperf.kit.jax import OptaxSubmission
from algoperf.kit.schedules_jax import warmup_cosine
from algoperf.kit.shampoo_jax import scale_by_shampoo
from submissions.batch_sizes import BATCH_SIZES


def optimizer(hyperparameters, workload):
    return optax.chain(
        scale_by_shampoo(*betas(hyperparameters)),
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.scale_by_learning_rate(warmup_cosine(hyperparameters, workload.step_hint)),
    )


submission = OptaxSubmission(optimizer, BATCH_SIZES)
