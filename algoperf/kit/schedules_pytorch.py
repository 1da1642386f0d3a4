"""Factors of the learning rate by step, for LambdaLR; the twin of `schedules_jax.py`."""

import math
from collections.abc import Callable
from typing import Any

from algoperf.kit.hyperparameters import warmup_steps

Schedule = Callable[[int], float]


def warmup_cosine(hyperparameters: Any, step_hint: int) -> Schedule:
    """Linear from 0 during the warm-up, then a cosine to 0 at `step_hint`."""
    warmup = warmup_steps(hyperparameters, step_hint)
    decay_steps = max(step_hint - warmup, 1)

    def factor(step: int) -> float:
        if step < warmup:
            return step / warmup
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / decay_steps)))

    return factor


def warmup_linear(hyperparameters: Any, step_hint: int) -> Schedule:
    """Linear from 0 during the warm-up, linear to `end_factor` of the rate over `decay_steps_factor` of the rest."""
    warmup, end_factor = warmup_steps(hyperparameters, step_hint), hyperparameters.end_factor
    decay_steps = max(int((step_hint - warmup) * hyperparameters.decay_steps_factor), 1)

    def factor(step: int) -> float:
        if step < warmup:
            return step / warmup
        return 1 + (end_factor - 1) * min(1.0, (step - warmup) / decay_steps)

    return factor


def warmup_constant(hyperparameters: Any, step_hint: int) -> Schedule:
    """Linear during the warm-up, whose first step is already one of it, then constant."""
    warmup = warmup_steps(hyperparameters, step_hint)
    return lambda step: min(1.0, (step + 1) / max(warmup, 1))
