"""A submission checked on a few tiny steps of every workload, before it costs an hour.

It imports `trial/` and what stands below it.
"""
