"""What a step takes on an accelerator, from shapes alone: neither a device nor data are needed.

It imports `fit/`, `submission/`, `backends/` and what stands below them.
"""
