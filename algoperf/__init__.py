"""AlgoPerf: Training Algorithms, as a Snakemake workflow for any academic cluster."""

from algoperf.benchmark.workload import load_workload

__all__ = ["load_workload"]
