"""A folder for each workload; beside them what they share: `datasets/`, `layers/` and `metrics/`.

It imports `algoperf.benchmark` and `algoperf.records`.
"""
