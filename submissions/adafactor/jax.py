"""Adafactor (Shazeer and Stern 2018) with momentum, decoupled weight decay, linear warm-up, cosine decay."""

from algoperf.kit.hyperparameters import beta1
from algoperf.kit.jax import OptaxSubmission
from algoperf.kit.optimizers_jax import adafactor
from algoperf.kit.schedules_jax import warmup_cosine
from submissions.batch_sizes import BATCH_SIZES


def optimizer(hyperparameters, workload):
    learning_rate = warmup_cosine(hyperparameters, workload.step_hint)
    return adafactor(learning_rate, beta1(hyperparameters), hyperparameters.weight_decay)


submission = OptaxSubmission(optimizer, BATCH_SIZES)
