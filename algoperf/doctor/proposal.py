"""A first cluster.yaml, written from the live cluster: what `algoperf doctor --propose` prints."""

import json
from collections.abc import Iterator

import yaml

from algoperf.doctor.survey import by_kind, describe, gres, separating_feature
from algoperf.machine import slurm
from algoperf.machine.slurm import Node, Partition

_HEAD = """\
# What this cluster is, as `algoperf doctor --propose` found it. Check it, rename the accelerators to what your configs
# call them, remove those that you do not use, and save it as profiles/slurm/cluster.yaml.
accelerators:
"""

_TAIL = """
# How a job gets each framework: shell lines before it, and what to call for `algoperf` there.
environments:
  jax: {setup: "", command: algoperf}
  pytorch: {setup: "", command: algoperf}

# A folder on each node's own disk, to which a trial's data are copied first; variables such as $TMPDIR are filled in.
scratch: null
"""


def propose() -> str:
    """The text of a cluster.yaml. Raises InfrastructureError where Slurm does not answer."""
    entries: dict[str, list[str]] = {}
    for partition in slurm.partitions():
        kinds = by_kind(partition.nodes)
        for kind, nodes in kinds:
            found = "_".join(f"{name or 'gpu'}x{count}" for name, count in kind) or "cpu"
            name = partition.name if len(kinds) == 1 else f"{partition.name}_{found}"
            others = [node for node in partition.nodes if node not in nodes]
            entries[name] = list(_entry(partition, nodes, others))
    if "local" not in entries:
        entries = {"local": ["# Whatever Slurm gives to a job that asks for nothing."], **entries}
    return _HEAD + "\n".join(_block(name, lines) for name, lines in entries.items()) + _TAIL


def _block(name: str, lines: list[str]) -> str:
    values = [line for line in lines if not line.startswith("#")]
    comments = [f"  {line}\n" for line in lines if line.startswith("#")]
    if not values:
        return f"{''.join(comments)}  {_scalar(name)}: {{}}\n"
    return f"{''.join(comments)}  {_scalar(name)}:\n" + "".join(f"    {value}\n" for value in values)


def _entry(partition: Partition, nodes: list[Node], others: list[Node]) -> Iterator[str]:
    """Comments, then values, of the nodes of a partition that have the same GPUs."""
    (kind, _), *_ = by_kind(nodes)
    up = "" if partition.is_up else ", which is down now"
    smallest = min(nodes, key=lambda node: (node.cpus, node.memory_mib))
    size = f"{smallest.cpus} CPUs, {smallest.memory_mib // 1_024} GiB"
    yield f"# Partition {partition.name}{up}: {describe(nodes)}; {size}."
    feature = separating_feature(nodes, others)
    types = {name for name, _ in kind}
    if others and feature is None and (not types or types & {name for node in others for name in node.gpus}):
        yield f"# No feature of these nodes separates them from {describe(others)}: a trial there is refused."
    if len(kind) > 1:
        yield "# Their GPUs are of several types, and a job can ask for one of them only."
    if "" in types:
        yield "# The type of these GPUs is not told: add `device`, a part of the name that nvidia-smi gives."
    if kind:
        device, count = kind[0]
        if device:
            yield f"device: {_scalar(device)}"
        yield f"count: {count}"
        yield f"gres: {gres(kind[:1])}"
    yield f"partition: {_scalar(partition.name)}"
    if others and feature is not None:
        yield f"constraint: {_scalar(feature)}"
    if partition.time_limit is not None:
        yield f"time_limit: {partition.time_limit}"


def _scalar(text: str) -> str:
    """A text in YAML, in quotes where it would be read as something else."""
    return text if yaml.safe_load(text) == text else json.dumps(text)
