"""`algoperf fit`: does a step fit into an accelerator?"""

import json
import sys
from typing import Annotated

import typer


def fit(
    accelerator: Annotated[
        str, typer.Option(help="v100, a100, h100, or another that cluster.yaml has facts of.")
    ] = "a100",
    workload: Annotated[str | None, typer.Option(help="One workload or variant; all workloads where left out.")] = None,
    framework: Annotated[str | None, typer.Option(help="jax or pytorch; both where left out.")] = None,
    submission: Annotated[str, typer.Option(help="A name or a path.")] = "nadamw",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list: bytes and seconds.")] = False,
) -> None:
    """Whether each step fits into an accelerator that need not be here: memory, waits, collectives, time at best.

    PyTorch is asked by shapes alone, in seconds; JAX by XLA's compiler for GPUs, in minutes, where jax[cuda12] is
    installed: else what was found out before is shown, with its date.
    """
    from rich.console import Console

    from algoperf.fit import accelerators, ask, table

    _, facts = accelerators.find(accelerator)
    answer = ask.answer(ask.cells(accelerator, workload, framework, submission))
    if as_json:
        print(json.dumps([table.as_dict(figures, facts) for figures in answer.figures], indent=2))
        for note in answer.notes:
            print(note, file=sys.stderr)
        return
    console = Console(highlight=False)
    table.print_table(answer.figures, facts, console)
    for note in answer.notes:
        console.print(note, markup=False, soft_wrap=True)
