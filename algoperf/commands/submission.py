"""`algoperf submission ...`: what is done for a submission before its trials."""

from pathlib import Path
from typing import Annotated

import typer

from algoperf.benchmark.facts import UsageError

app = typer.Typer(no_args_is_help=True, help="An environment of its own for a submission.")


@app.command()
def env(
    name: Annotated[str, typer.Argument(help="A name in submissions/, or the path of a file or folder.")],
    framework: Annotated[
        str | None, typer.Option(help="jax or pytorch; may be left out where submission_info.yml says it.")
    ] = None,
    into: Annotated[
        Path | None, typer.Option(help="The new folder; environments/ and the submission's name in results if not.")
    ] = None,
    wheels: Annotated[
        Path | None, typer.Option(help="Install from the wheels in this folder, without a network.")
    ] = None,
) -> None:
    """Make an environment with the versions of the submission's requirements.txt, over the one this is called in.

    Trials of the submission run in it where cluster.yaml has it under `environments`.
    """
    from algoperf.benchmark.facts import FRAMEWORKS
    from algoperf.benchmark.identity import short_name
    from algoperf.submission import environment, loading

    framework = framework or loading.describe(name).framework
    if framework is None:
        raise UsageError(f"--framework is needed, {' or '.join(FRAMEWORKS)}: no submission_info.yml says it.")
    label = f"{short_name(name)}_{framework}"
    command = environment.make(name, framework, into or Path("environments") / label, wheels)
    print(f"{command.parents[1]} is made; put it into cluster.yaml:")
    print(f"environments:\n  {label}: {{command: {command}}}")
