"""How a model is called: what the official `model_fn` is told, as one value that is the same in both frameworks."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any


@dataclasses.dataclass(frozen=True)
class ForwardContext:
    """The second argument of every model.

    train: whether this is a training step, which is where dropout happens. use_running_average: whether batch
    normalisation takes its running statistics or those of the batch. update_batch_norm: whether it updates the running
    ones. dropout_rate: the probability with which a value is dropped; in JAX it may be a traced array, so that a
    submission can change it without compiling again. rng: the key of the dropouts' masks in JAX; PyTorch draws from its
    global generator. sites: numbers the dropouts of one pass through the model, for a key of its own for each in JAX.
    """

    train: bool
    update_batch_norm: bool
    use_running_average: bool
    dropout_rate: Any = 0.0
    rng: Any = None
    sites: Iterator[int] = dataclasses.field(default_factory=itertools.count, init=False, repr=False, compare=False)
