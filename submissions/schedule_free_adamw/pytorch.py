"""Schedule-free AdamW (Defazio et al. 2024): what is evaluated is an average, and the rate does not decay.

The hyperparameter `r`, 0 where a point lacks it: step t has the weight rate^2 t^r in the average.
"""

from schedulefree import AdamWScheduleFree

from algoperf.kit.hyperparameters import betas
from algoperf.kit.pytorch import Average, TorchSubmission
from algoperf.kit.schedules_pytorch import warmup_constant
from submissions.batch_sizes import BATCH_SIZES


def optimizer(model, hyperparameters, workload):
    adamw = AdamWScheduleFree(
        model.parameters(),
        lr=hyperparameters.learning_rate,
        betas=betas(hyperparameters),
        weight_decay=hyperparameters.weight_decay,
        r=getattr(hyperparameters, "r", 0.0),
    )
    return adamw, warmup_constant(hyperparameters, workload.step_hint)


average = Average(AdamWScheduleFree.eval, AdamWScheduleFree.train)
submission = TorchSubmission(optimizer, BATCH_SIZES, average=average)
