"""`algoperf mirror`: the trials of a results folder as runs in TensorBoard, MLflow or W&B."""

from pathlib import Path
from typing import Annotated

import typer

from algoperf.benchmark.facts import UsageError


def mirror(
    results: Annotated[Path, typer.Argument(help="A results folder, or any tree of logs in the official layout.")],
    to: Annotated[str, typer.Option(help="tensorboard:DIR, mlflow:URI or wandb; each needs the extra of its name.")],
    once: Annotated[bool, typer.Option("--once", help="Mirror what there is and end, instead of following.")] = False,
) -> None:
    """Show trials where people look already: each a run, with its point, hardware, status and all its rows.

    It reads the files of trials, ended and running, from beside them and writes none of theirs: nothing is charged,
    and a node needs no network. Ctrl-C ends it; begun again, it goes on where it was.
    """
    from rich.console import Console

    from scoring.mirror.follow import follow

    console = Console(highlight=False, markup=False, soft_wrap=True)
    follow(results, _target(to), console.print, once)


def _target(to: str):
    match to.partition(":"):
        case ("tensorboard", _, folder) if folder:
            from scoring.mirror.to_tensorboard import TensorBoard

            return TensorBoard(Path(folder))
        case ("mlflow", _, uri) if uri:
            from scoring.mirror.to_mlflow import Mlflow

            return Mlflow(uri)
        case ("wandb", "", _):
            from scoring.mirror.to_wandb import WeightsAndBiases

            return WeightsAndBiases()
    raise UsageError(f"runs cannot be mirrored to {to!r}; they can to tensorboard:DIR, mlflow:URI and wandb.")
