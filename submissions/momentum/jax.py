"""SGD with heavy-ball momentum, linear warm-up, linear decay; weight decay is part of the gradient."""

import functools

from algoperf.kit.jax import OptaxSubmission
from algoperf.kit.optimizers_jax import sgd
from submissions.batch_sizes import BATCH_SIZES

optimizer = functools.partial(sgd, nesterov=False)

submission = OptaxSubmission(optimizer, BATCH_SIZES)
