"""SGD with heavy-ball momentum, linear warm-up, linear decay; weight decay is part of the gradient."""

import functools

from algoperf.kit.optimizers_pytorch import sgd
from algoperf.kit.pytorch import TorchSubmission
from submissions.batch_sizes import BATCH_SIZES

optimizer = functools.partial(sgd, nesterov=False)

submission = TorchSubmission(optimizer, BATCH_SIZES)
