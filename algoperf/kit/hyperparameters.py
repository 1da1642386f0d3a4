"""What the baselines read from a point of their search spaces, under the names that the published spaces have."""

from typing import Any


def beta1(hyperparameters: Any) -> float:
    """`beta1`, or 1 - `one_minus_beta1`, which is searched on a log scale."""
    return hyperparameters.beta1 if "beta1" in hyperparameters._fields else 1 - hyperparameters.one_minus_beta1


def betas(hyperparameters: Any) -> tuple[float, float]:
    """The decay of the first and of the second moment."""
    return beta1(hyperparameters), hyperparameters.beta2


def warmup_steps(hyperparameters: Any, step_hint: int) -> int:
    """`warmup_steps`, as the target-setting points have it, or `warmup_factor` of all steps."""
    if "warmup_steps" in hyperparameters._fields:
        return hyperparameters.warmup_steps
    return int(hyperparameters.warmup_factor * step_hint)
