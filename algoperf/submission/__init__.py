"""A submission before it runs: found, loaded, checked, with its hyperparameter points; and one to begin with.

It imports `imports/`, `benchmark/` and `records/`.
"""
