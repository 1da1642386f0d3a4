"""Whether a step fits into an accelerator: its facts, the figures of each cell, and a table.

It imports `machine/` and what stands below it; frameworks are asked in processes of their own (`shapes/`).
"""
