"""NAdamW: Adam with Nesterov momentum and decoupled weight decay, linear warm-up, cosine decay."""

import optax

from algoperf.kit.jax import OptaxSubmission, scale_by_nadam, warmup_cosine
from submissions.batch_sizes import BATCH_SIZES


def optimizer(hyperparameters, step_hint):
    schedule = warmup_cosine(hyperparameters.learning_rate, hyperparameters.warmup_factor, step_hint)
    return optax.chain(
        scale_by_nadam(b1=1 - hyperparameters.one_minus_beta1, b2=hyperparameters.beta2),
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.scale_by_learning_rate(schedule),
    )


submission = OptaxSubmission(optimizer, BATCH_SIZES)
