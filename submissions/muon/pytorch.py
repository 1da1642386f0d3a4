"""Muon (Jordan et al. 2024) for hidden matrices, AdamW for the rest; linear warm-up, cosine decay.

`learning_rate`, `one_minus_beta1` and `beta2` are AdamW's, `muon_learning_rate` and `muon_momentum` Muon's.
"""

import torch

from algoperf.kit.hyperparameters import betas
from algoperf.kit.muon_pytorch import Muon, hidden_and_other
from algoperf.kit.pytorch import TorchSubmission
from algoperf.kit.schedules_pytorch import warmup_cosine
from submissions.batch_sizes import BATCH_SIZES


def optimizer(model, hyperparameters, workload):
    hidden, other = hidden_and_other(model, workload)
    muon = Muon(
        hidden,
        lr=hyperparameters.muon_learning_rate,
        momentum=hyperparameters.muon_momentum,
        weight_decay=hyperparameters.weight_decay,
    )
    adamw = torch.optim.AdamW(
        other,
        lr=hyperparameters.learning_rate,
        betas=betas(hyperparameters),
        weight_decay=hyperparameters.weight_decay,
        fused=True,
    )
    return muon, adamw, warmup_cosine(hyperparameters, workload.step_hint)


submission = TorchSubmission(optimizer, BATCH_SIZES)
