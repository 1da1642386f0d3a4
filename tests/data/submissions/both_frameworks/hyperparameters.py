"""What both frameworks' files read of a point."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Own:
    learning_rate: float
    beta: float
    limit: float


def own(hyperparameters):
    return Own(hyperparameters.learning_rate, 1.0 - hyperparameters.one_minus_beta1, hyperparameters.limit)
