"""Many trials: the config, the plan, what is run again, what an earlier run left, how targets are made.

It imports `trial/` and what stands below it.
"""
