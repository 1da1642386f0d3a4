"""NAdamW: Adam with Nesterov momentum and decoupled weight decay, linear warm-up, cosine decay."""

from algoperf.kit.hyperparameters import betas
from algoperf.kit.optimizers_pytorch import NAdamW
from algoperf.kit.pytorch import TorchSubmission
from algoperf.kit.schedules_pytorch import warmup_cosine
from submissions.batch_sizes import BATCH_SIZES


def optimizer(model, hyperparameters, workload):
    nadamw = NAdamW(
        model.parameters(),
        lr=hyperparameters.learning_rate,
        betas=betas(hyperparameters),
        weight_decay=hyperparameters.weight_decay,
    )
    return nadamw, warmup_cosine(hyperparameters, workload.step_hint)


submission = TorchSubmission(optimizer, BATCH_SIZES)
