"""Metrics of an evaluation, in NumPy: one module each, found by the name in `WorkloadSpec.metrics`.

A module has two pure functions. `statistics(outputs, batch, source)` says of one batch what the metric needs, as
float64 of shape (n, k): sums over the batch in one row, or a row for each example. `result(statistics)` is the metric,
from the rows of all batches of all processes; how the examples were divided into batches does not matter to it.

outputs: `per_example` (losses, masked), `n_valid_examples`, and what the module asks for in its NEEDS: `logits`,
`predictions` (classes, see `algoperf/losses/`) or `translations` (token ids). batch: the batch with its `weights`.
source: the split that is evaluated, whose `tokenizer` a metric of texts needs.
"""
