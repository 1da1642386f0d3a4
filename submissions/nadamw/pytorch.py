"""NAdamW: Adam with Nesterov momentum and decoupled weight decay, linear warm-up, cosine decay."""

from algoperf.kit.pytorch import NAdamW, TorchSubmission, warmup_cosine
from submissions.batch_sizes import BATCH_SIZES


def optimizer(parameters, hyperparameters, step_hint):
    nadamw = NAdamW(
        parameters,
        lr=hyperparameters.learning_rate,
        betas=(1 - hyperparameters.one_minus_beta1, hyperparameters.beta2),
        weight_decay=hyperparameters.weight_decay,
    )
    return nadamw, warmup_cosine(hyperparameters.warmup_factor, step_hint)


submission = TorchSubmission(optimizer, BATCH_SIZES)
