"""What two or more workloads share of their models, once in each framework.

Models import it; it imports `algoperf.benchmark`.
"""
