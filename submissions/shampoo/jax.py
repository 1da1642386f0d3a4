"""Distributed Shampoo with decoupled weight decay, linear warm-up, cosine decay."""

import optax

from algoperf.kit.jax import OptaxSubmission, warmup_cosine
from algoperf.kit.shampoo_jax import scale_by_shampoo
from submissions.batch_sizes import BATCH_SIZES


def optimizer(hyperparameters, step_hint):
    schedule = warmup_cosine(hyperparameters.learning_rate, hyperparameters.warmup_factor, step_hint)
    return optax.chain(
        scale_by_shampoo(b1=1 - hyperparameters.one_minus_beta1, b2=hyperparameters.beta2),
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.scale_by_learning_rate(schedule),
    )


submission = OptaxSubmission(optimizer, BATCH_SIZES)
