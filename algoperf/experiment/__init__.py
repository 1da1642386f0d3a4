"""Many trials: the config, the plan, what is run again, and how targets are made of them.

It imports `trial/` and what stands below it.
"""
