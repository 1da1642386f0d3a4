"""SAM (Foret et al. 2021) on AdamW: the gradient is that at the worst point at the distance `rho`, to first order."""

from algoperf.kit.optimizers_pytorch import sharpness_aware
from algoperf.kit.pytorch import TorchSubmission
from submissions.adamw.pytorch import optimizer
from submissions.batch_sizes import BATCH_SIZES

submission = TorchSubmission(optimizer, BATCH_SIZES, gradient=sharpness_aware)
