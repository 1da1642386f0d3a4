"""What turns an optimizer into a submission in a few lines, and published updates that the frameworks lack.

It imports `benchmark/` and the faces that submissions import: baselines stand on it, the core does not.
"""
