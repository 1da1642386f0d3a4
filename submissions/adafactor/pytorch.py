"""Adafactor (Shazeer and Stern 2018) with momentum, decoupled weight decay, linear warm-up, cosine decay."""

from algoperf.kit.hyperparameters import beta1
from algoperf.kit.optimizers_pytorch import Adafactor
from algoperf.kit.pytorch import TorchSubmission
from algoperf.kit.schedules_pytorch import warmup_cosine
from submissions.batch_sizes import BATCH_SIZES


def optimizer(model, hyperparameters, workload):
    adafactor = Adafactor(
        model.parameters(),
        lr=hyperparameters.learning_rate,
        momentum=beta1(hyperparameters),
        weight_decay=hyperparameters.weight_decay,
    )
    return adafactor, warmup_cosine(hyperparameters, workload.step_hint)


submission = TorchSubmission(optimizer, BATCH_SIZES)
