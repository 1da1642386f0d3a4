"""Metrics of an evaluation, in NumPy: one module each, found by the name in `WorkloadSpec.metrics`.

A module has two pure functions. `statistics(outputs, batch)` says of one batch what the metric needs, as float64 of
shape (n, k): sums over the batch in one row, or a row for each example. `result(statistics)` is the metric, from the
rows of all batches of all processes; how the examples were divided into batches does not matter to it.
outputs: `logits`, `per_example` (losses, masked) and `n_valid_examples`; batch: the batch with its `weights`.
"""
