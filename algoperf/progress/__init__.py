"""Where an experiment is, when it ends, and what it costs; for people and as data.

It imports `experiment/` and what stands below it.
"""
