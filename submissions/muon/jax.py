"""Muon (Jordan et al. 2024) for hidden matrices, AdamW for the rest; linear warm-up, cosine decay.

`learning_rate`, `one_minus_beta1` and `beta2` are AdamW's, `muon_learning_rate` and `muon_momentum` Muon's.
"""

import optax

from algoperf.kit.hyperparameters import betas
from algoperf.kit.jax import OptaxSubmission
from algoperf.kit.muon_jax import hidden_matrices, scale_by_muon
from algoperf.kit.schedules_jax import warmup_cosine
from submissions.batch_sizes import BATCH_SIZES


def optimizer(hyperparameters, workload):
    learning_rate, weight_decay = warmup_cosine(hyperparameters, workload.step_hint), hyperparameters.weight_decay
    muon = optax.chain(
        scale_by_muon(hyperparameters.muon_momentum),
        optax.add_decayed_weights(weight_decay),
        optax.scale(hyperparameters.muon_learning_rate / hyperparameters.learning_rate),
        optax.scale_by_learning_rate(learning_rate),
    )
    adamw = optax.adamw(learning_rate, *betas(hyperparameters), weight_decay=weight_decay)
    return optax.partition({True: muon, False: adamw}, hidden_matrices(workload))


submission = OptaxSubmission(optimizer, BATCH_SIZES)
