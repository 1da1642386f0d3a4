"""How things are written and read again: atomically or append-only, checksummed, checked, in words.

It imports `benchmark/`.
"""
