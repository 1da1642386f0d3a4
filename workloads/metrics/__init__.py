"""Metrics of an evaluation, in NumPy: one module each, found by the name in `WorkloadSpec.metrics`.

A module has a class `Metric`: `update(outputs, batch)` takes one batch in, `result()` gives the value over all of them.
outputs: `logits`, `per_example` (losses, masked) and `n_valid_examples`; batch: the batch with its `weights`.
"""
