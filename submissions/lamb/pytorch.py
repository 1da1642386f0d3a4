"""LAMB (You et al. 2020): AdamW's update, as long as the parameter is; linear warm-up, cosine decay."""

from algoperf.kit.hyperparameters import betas
from algoperf.kit.optimizers_pytorch import Lamb
from algoperf.kit.pytorch import TorchSubmission
from algoperf.kit.schedules_pytorch import warmup_cosine
from submissions.batch_sizes import BATCH_SIZES


def optimizer(model, hyperparameters, workload):
    lamb = Lamb(
        model.parameters(),
        lr=hyperparameters.learning_rate,
        betas=betas(hyperparameters),
        weight_decay=hyperparameters.weight_decay,
    )
    return lamb, warmup_cosine(hyperparameters, workload.step_hint)


submission = TorchSubmission(optimizer, BATCH_SIZES)
