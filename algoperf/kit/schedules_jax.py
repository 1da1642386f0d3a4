"""Learning rates by step, as optax has them; the twin of `schedules_pytorch.py`."""

from typing import Any

import jax.numpy as jnp
import optax

from algoperf.kit.hyperparameters import warmup_steps


def warmup_cosine(hyperparameters: Any, step_hint: int) -> optax.Schedule:
    """Linear from 0 during the warm-up, then a cosine to 0 at `step_hint`."""
    learning_rate, warmup = hyperparameters.learning_rate, warmup_steps(hyperparameters, step_hint)
    return optax.join_schedules(
        [
            optax.linear_schedule(0.0, learning_rate, warmup),
            optax.cosine_decay_schedule(learning_rate, max(step_hint - warmup, 1)),
        ],
        [warmup],
    )


def warmup_linear(hyperparameters: Any, step_hint: int) -> optax.Schedule:
    """Linear from 0 during the warm-up, linear to `end_factor` of the rate over `decay_steps_factor` of the rest."""
    learning_rate, warmup = hyperparameters.learning_rate, warmup_steps(hyperparameters, step_hint)
    decay_steps = max(int((step_hint - warmup) * hyperparameters.decay_steps_factor), 1)
    return optax.join_schedules(
        [
            optax.linear_schedule(0.0, learning_rate, warmup),
            optax.linear_schedule(learning_rate, learning_rate * hyperparameters.end_factor, decay_steps),
        ],
        [warmup],
    )


def warmup_constant(hyperparameters: Any, step_hint: int) -> optax.Schedule:
    """Linear during the warm-up, whose first step is already one of it, then constant."""
    learning_rate, warmup = hyperparameters.learning_rate, warmup_steps(hyperparameters, step_hint)
    return lambda step: learning_rate * jnp.minimum(1.0, (step + 1) / max(warmup, 1))
