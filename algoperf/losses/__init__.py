"""Each loss of the benchmark, once in each framework.

It imports no other room.
"""
