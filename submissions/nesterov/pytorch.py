"""SGD with Nesterov momentum, linear warm-up, linear decay; weight decay is part of the gradient."""

import torch

from algoperf.kit.pytorch import TorchSubmission, warmup_linear
from submissions.batch_sizes import BATCH_SIZES


def optimizer(parameters, hyperparameters, step_hint):
    sgd = torch.optim.SGD(
        parameters,
        lr=hyperparameters.learning_rate,
        momentum=1 - hyperparameters.one_minus_beta1,
        nesterov=True,
        weight_decay=hyperparameters.weight_decay,
    )
    schedule = warmup_linear(
        hyperparameters.warmup_factor, step_hint, hyperparameters.decay_steps_factor, hyperparameters.end_factor
    )
    return sgd, schedule


submission = TorchSubmission(optimizer, BATCH_SIZES)
