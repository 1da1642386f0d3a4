"""SGD with Nesterov momentum, linear warm-up, linear decay; weight decay is part of the gradient."""

import optax

from algoperf.kit.jax import OptaxSubmission, warmup_linear
from submissions.batch_sizes import BATCH_SIZES


def optimizer(hyperparameters, step_hint):
    schedule = warmup_linear(
        hyperparameters.learning_rate,
        hyperparameters.warmup_factor,
        step_hint,
        hyperparameters.decay_steps_factor,
        hyperparameters.end_factor,
    )
    return optax.chain(
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.sgd(schedule, momentum=1 - hyperparameters.one_minus_beta1, nesterov=True),
    )


submission = OptaxSubmission(optimizer, BATCH_SIZES)
