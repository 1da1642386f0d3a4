"""The facts of accelerators, from one small file, or one that cluster.yaml names."""

from pathlib import Path
from typing import Literal

import pydantic

from algoperf.benchmark.facts import Framework, UsageError
from algoperf.machine import cluster
from algoperf.records.strict import Strict, check_content, read_yaml

FILE = Path(__file__).with_name("accelerators.yaml")
# What JAX's pool takes of a device's memory where the user says nothing; `backends/jax.py` sets it.
POOL = 0.92

Kind = Literal["float32", "tf32", "float16", "bfloat16"]
Size = pydantic.PositiveInt


class UnknownAcceleratorError(UsageError):
    """Nothing is known of an accelerator of that name."""


class Facts(Strict):
    """Of one device; see the file's head. count: of those that share a trial."""

    count: Size
    memory: Size
    context: Size
    bandwidth: Size
    flops: dict[Kind, Size]
    capability: str
    target: str

    def room(self, framework: Framework) -> int:
        """Bytes that a step can allocate."""
        return int(POOL * self.memory) if framework == "jax" else self.memory - self.context

    def products_a_second(self, kind: str) -> int:
        """Floating-point operations a second of products of a type; float32's are those of its fast form, if any."""
        return self.flops.get("tf32" if kind == "float32" else kind, self.flops["float32"])


def known(path: Path = FILE) -> dict[str, Facts]:
    """By name. Raises UsageError where the file is missing or wrong."""
    where = f"the facts of accelerators in {path}"
    content = read_yaml(path, where)
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise UsageError(f"{where} are no table of tables: each name has {', '.join(Facts.model_fields)}.")
    return {name: check_content(Facts, entry, f"{where}, {name}") for name, entry in content.items()}


def find(name: str) -> tuple[str, Facts]:
    """What an accelerator is called among those that are known, and its facts.

    name: in cluster.yaml, which says how many share a trial, or in the file. Raises UnknownAcceleratorError where
    neither knows it.
    """
    entry = cluster.load().accelerators.get(name, cluster.Accelerator())
    found = known()
    called = name if entry.facts is None else entry.facts
    if called not in found and Path(called).suffix:
        found, called = known(Path(called)), name
    if called not in found:
        raise UnknownAcceleratorError(
            f"nothing is known of the accelerator {called!r}; known are {', '.join(found)}. In {cluster.path()}, an "
            "accelerator's `facts` is one of these, or a file that describes it."
        )
    if entry.count is None:
        return called, found[called]
    return called, found[called].model_copy(update={"count": entry.count * entry.nodes})
