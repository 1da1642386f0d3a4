"""One trial, from its set-up to its result: the timed loop, and all that is free or charged around it.

It imports `referee/`, `backends/`, `machine/`, `submission/`, `records/` and `benchmark/`.
"""
