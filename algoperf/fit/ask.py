"""What `algoperf fit` answers: the figures of cells, fresh where a framework can be asked here, else those stored."""

import dataclasses
from collections.abc import Iterator, Sequence

from algoperf.benchmark.facts import FRAMEWORKS, Framework, UsageError
from algoperf.benchmark.registry import base_workloads, load_spec
from algoperf.fit import accelerators, measure, stored
from algoperf.fit.cells import BFLOAT16, Cell, Figures
from algoperf.submission import loading

SUBMISSION = "nadamw"
ACCELERATOR = "a100"


@dataclasses.dataclass(frozen=True)
class Answer:
    """notes: sentences about figures that are not fresh, or not there."""

    figures: list[Figures]
    notes: list[str]


def cells(
    accelerator: str, workload: str | None = None, framework: str | None = None, submission: str = SUBMISSION
) -> list[Cell]:
    """All that the names leave open, in the frameworks that the submission is in. Raises UsageError for a name that is
    none.
    """
    called, facts = accelerators.find(accelerator)
    if framework is not None and framework not in FRAMEWORKS:
        raise UsageError(f"there is no framework {framework!r}; the frameworks are {', '.join(FRAMEWORKS)}.")
    names = [name for name in base_workloads() if is_for(name, facts)] if workload is None else [workload]
    for name in names:
        if not is_for(load_spec(name).base, facts):
            raise UsageError(f"{name} computes in bfloat16, which {accelerator} has not.")
    frameworks = _frameworks(submission, FRAMEWORKS if framework is None else (framework,))
    return [Cell(name, each, submission, called, facts.count) for name in names for each in frameworks]


def _frameworks(submission: str, wanted: Sequence[Framework]) -> list[Framework]:
    """Those of the wanted ones that the submission is in, at least one."""
    found, reasons = [], []
    for framework in wanted:
        try:
            loading.find(submission, framework)
            found.append(framework)
        except UsageError as error:
            reasons.append(error)
    if not found:
        raise reasons[0]
    return found


def is_for(workload: str, facts: accelerators.Facts) -> bool:
    """Whether the accelerator computes in the types of the workload, which is no variant."""
    return workload not in BFLOAT16 or "bfloat16" in facts.flops


def answer(wanted: Sequence[Cell]) -> Answer:
    """Of cells on one accelerator: in minutes where JAX is asked, else in seconds."""
    reasons = {framework: reason for framework in FRAMEWORKS if (reason := measure.cannot(framework))}
    fresh = {figures.cell: figures for figures in measure.measured([c for c in wanted if c.framework not in reasons])}
    found = [fresh.get(cell) or stored.of(cell) or Figures(cell, peaks={}, failures={}) for cell in wanted]
    return Answer(found, [*_notes(found, fresh, reasons)])


def _notes(found: Sequence[Figures], fresh: dict[Cell, Figures], reasons: dict[Framework, str]) -> Iterator[str]:
    for framework, reason in reasons.items():
        old = [figures for figures in found if figures.cell.framework == framework and figures.cell not in fresh]
        dates = sorted({figures.made for figures in old if figures.made})
        if dates:
            yield f"{framework}: {reason} What stands above is of {' and '.join(dates)}."
        elif old:
            yield f"{framework}: {reason}"
