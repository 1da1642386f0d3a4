"""What is asked of a cell, a workload with a submission in a framework on an accelerator, and what is told of it."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from algoperf.benchmark.facts import Framework
from algoperf.fit.accelerators import Facts

# A training step; an evaluation's batch beside the state of training; a checkpoint that is put back.
Phase = Literal["train", "evaluation", "restore"]
PHASES: tuple[Phase, ...] = ("train", "evaluation", "restore")

# Workloads that compute in bfloat16 on accelerators; there are some that have none.
BFLOAT16 = ("finewebedu_lm",)

_GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Cell:
    """accelerator: a name that `accelerators.facts` knows; count: how many of them share the batch."""

    workload: str
    framework: Framework
    submission: str
    accelerator: str
    count: int


@dataclasses.dataclass(frozen=True)
class Figures:
    """Of one device, of a step where it is not said.

    peaks: bytes that it holds at most, by phase. failures: why a phase has none. state: bytes of parameters and
    optimizer state. collectives: how many, and bytes of them. waits: lines at which the host waits for the device, and
    how often. flops: of products, by type. moved, needed: bytes that all operations read and write, and those that the
    model cannot do without: products, convolutions, attention, norms, look-ups. seconds: of compiling the step. made,
    code: the date, and the commit and the framework's version.
    """

    cell: Cell
    peaks: Mapping[Phase, int]
    failures: Mapping[Phase, str]
    state: int = 0
    collectives: int = 0
    collective_bytes: int = 0
    waits: Mapping[str, int] = dataclasses.field(default_factory=dict)
    flops: Mapping[str, float] = dataclasses.field(default_factory=dict)
    moved: float = 0
    needed: float = 0
    kernels: int = 0
    seconds: float = 0
    made: str = ""
    code: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether every phase was asked."""
        return {*self.peaks, *self.failures} == {*PHASES}

    def fits(self, facts: Facts) -> bool | None:
        """None where what was found out does not say so."""
        if self.failures or max(self.peaks.values(), default=0) > facts.room(self.cell.framework):
            return False
        return True if self.is_whole else None

    def compute_seconds(self, facts: Facts) -> float:
        """What the products take at the device's full speed."""
        return sum(number / facts.products_a_second(kind) for kind, number in self.flops.items())

    def memory_seconds(self, facts: Facts) -> float:
        """What reading and writing takes at the device's full speed."""
        return self.moved / facts.bandwidth


def figures(content: Mapping[str, Any]) -> Figures:
    """From what `dataclasses.asdict` made of them."""
    return Figures(**{**content, "cell": Cell(**content["cell"])})


def gib(size: float) -> str:
    return f"{size / _GIB:.2f}"
