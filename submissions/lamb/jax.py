"""LAMB (You et al. 2020): AdamW's update, as long as the parameter is; linear warm-up, cosine decay."""

import optax

from algoperf.kit.hyperparameters import betas
from algoperf.kit.jax import OptaxSubmission
from algoperf.kit.schedules_jax import warmup_cosine
from submissions.batch_sizes import BATCH_SIZES


def optimizer(hyperparameters, workload):
    learning_rate = warmup_cosine(hyperparameters, workload.step_hint)
    return optax.lamb(learning_rate, *betas(hyperparameters), eps=1e-8, weight_decay=hyperparameters.weight_decay)


submission = OptaxSubmission(optimizer, BATCH_SIZES)
