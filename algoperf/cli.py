"""The command line: `algoperf COMMAND`. Exit codes: 0 a result, 1 an infrastructure failure, 2 a usage error."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from algoperf.spec import InfrastructureError, UsageError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="AlgoPerf: Training Algorithms. Which training algorithm trains networks faster?",
)

Ruleset = Literal["external", "self"]
DataDir = Annotated[Path, typer.Option("--data-dir", help="Where prepared data lies.")]


@app.command()
def trial(
    workload: Annotated[str, typer.Option(help="A workload or variant; see `algoperf workloads`.")],
    framework: Annotated[str, typer.Option(help="jax or pytorch.")],
    submission: Annotated[str, typer.Option(help="A name in submissions/, or the path of a file or folder.")],
    protocol: Annotated[str, typer.Option(help="mini, v0.5 or v0.6.")],
    ruleset: Annotated[str, typer.Option(help="external or self.")],
    study: Annotated[int, typer.Option(help="Which repetition, from 0.")],
    trial: Annotated[int, typer.Option(help="Which hyperparameter point, from 1.")],
    out: Annotated[Path, typer.Option(help="The trial's folder: results and checkpoints.")],
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop after so many steps.")] = None,
    data_dir: DataDir = Path("data"),
) -> None:
    """Train one trial to its target; run again it goes on where it stopped, and finished it returns at once."""
    from algoperf import progress
    from algoperf import trial as trials
    from algoperf.config import SubmissionEntry
    from algoperf.plan import Trial

    label = SubmissionEntry(name=submission, framework=framework).label
    this = Trial(protocol, _ruleset(ruleset), submission, label, framework, workload, study, trial)
    result = trials.finished_result(out)
    if result is None:
        setup = trials.set_up(this, out, data_dir, max_steps)
        result = trials.execute(setup, progress.Reporter(setup))
    progress.print_result(result)
