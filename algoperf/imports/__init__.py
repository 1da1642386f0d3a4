"""What `import` means in a submission's files: its own modules, official names, and names that JAX has dropped.

It imports `benchmark/` and `records/`.
"""
