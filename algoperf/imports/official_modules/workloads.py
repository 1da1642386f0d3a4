"""In the place of `algoperf.workloads.workloads`, which knows the workloads by name."""

from algoperf.benchmark import registry

BASE_WORKLOADS = registry.base_workloads()


def get_base_workload_name(workload_name: str) -> str:
    """The workload that a variant is one of; a workload itself. Raises UsageError for an unknown name."""
    return registry.base_of(workload_name)
