"""SAM (Foret et al. 2021) on AdamW: the gradient is that at the worst point at the distance `rho`, to first order."""

from algoperf.kit.jax import OptaxSubmission
from algoperf.kit.optimizers_jax import sharpness_aware
from submissions.adamw.jax import optimizer
from submissions.batch_sizes import BATCH_SIZES

submission = OptaxSubmission(optimizer, BATCH_SIZES, gradient=sharpness_aware)
