"""What of a trial is walked through before the first real hour: some steps, two evaluations, a checkpoint, a restart."""

import dataclasses
import math

from algoperf.benchmark.facts import WorkloadSpec, replace
from algoperf.trial.definition import Definition

# Batches of each split in an evaluation; the second shows what one takes when all is compiled.
EVALUATED = 2

_NEVER = 1e9  # charged seconds: a rehearsal ends by its steps


@dataclasses.dataclass(frozen=True)
class Rehearsal:
    """steps: after which it is evaluated and saved; one more is taken twice, before and after the restart. batch_size:
    None for the submission's own. is_made_up: whether examples are made up, or those of the prepared store."""

    steps: int
    batch_size: int | None
    is_made_up: bool

    def shortened(self, definition: Definition) -> Definition:
        """The trial that ends after `steps + 1`, is evaluated after the first and after `steps`, and knows it."""
        last = self.steps + 1
        return dataclasses.replace(
            definition, max_runtime=_NEVER, max_steps=last, last_step=last, evaluated_every=self.steps
        )

    def reduced(self, spec: WorkloadSpec) -> WorkloadSpec:
        """The workload with some batches to evaluate, and no target that it could end at."""
        batch_size = self.batch_size or spec.eval_batch_size
        beyond = -math.inf if spec.target.goal == "min" else math.inf
        counts = ("num_eval_train_examples", "num_validation_examples", "num_test_examples")
        return replace(
            spec,
            {
                **{name: min(getattr(spec, name), EVALUATED * batch_size) for name in counts},
                "target": {"validation": beyond, "test": None if spec.target.test is None else beyond},
                "rehearsal": "made_up" if self.is_made_up else "store",
            },
        )
