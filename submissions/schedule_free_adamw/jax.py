"""Schedule-free AdamW (Defazio et al. 2024): what is evaluated is an average, and the rate does not decay.

The hyperparameter `r`, 0 where a point lacks it: step t has the weight rate^2 t^r in the average.
"""

import jax
import optax

from algoperf.kit.hyperparameters import betas
from algoperf.kit.jax import Average, OptaxSubmission
from algoperf.kit.schedules_jax import warmup_constant
from submissions.batch_sizes import BATCH_SIZES


def optimizer(hyperparameters, workload):
    b1, b2 = betas(hyperparameters)
    learning_rate = warmup_constant(hyperparameters, workload.step_hint)
    adamw = optax.chain(
        optax.scale_by_rms(b2, eps=1e-8, eps_in_sqrt=False, bias_correction=True),
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )
    # Its steps count from 1, and the weight is the square of this.
    root_r = getattr(hyperparameters, "r", 0.0) / 2
    return optax.contrib.schedule_free(adamw, lambda step: learning_rate(step - 1) * step**root_r, b1)


def trained(state, evaluated):
    return jax.tree.map(lambda x, z: state.b1 * x + (1 - state.b1) * z, evaluated, state.z)


average = Average(optax.contrib.schedule_free_eval_params, trained)
submission = OptaxSubmission(optimizer, BATCH_SIZES, average=average)
