"""`algoperf trial --rehearse` and `algoperf rehearsal`: a cell walked through, and the table of all."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.identity import Trial, short_name
from algoperf.benchmark.protocol import load_protocol

# What is rehearsed where nobody says otherwise: the benchmark as it is run today.
PROTOCOL = "v0.6-a100"


def folder(workload: list[str] | None, submission: str, framework: str | None) -> Path:
    return Path("rehearsal") / "_".join([*(workload or ["workload"]), short_name(submission), framework or ""])


def ruleset_of(submission: str, framework: str | None, protocol: str) -> str | None:
    """External tuning where the submission has a search space, and else self-tuning."""
    from algoperf.submission import loading
    from algoperf.submission.points import hyperparameter_points

    if framework is None:
        return None
    try:
        path = loading.find(submission, framework)
        hyperparameter_points(path, load_protocol(protocol), "external", load_protocol(protocol).workloads[0], 0)
    except UsageError:
        return "self"
    return "external"


def run(trial: Trial, asked: Any, out: Path, data_dir: Path, accelerator: str, options: dict[str, Any]) -> int:
    """In a process that a rehearsal has started, its share of the trial; else the whole rehearsal. The exit code."""
    from rich.console import Console

    from algoperf.machine import cluster, job, ranks, staging
    from algoperf.rehearsal import conductor, part, stages, table
    from algoperf.trial import launch
    from algoperf.trial.definition import define, spec_of
    from algoperf.trial.setup import set_up

    site = launch.site(accelerator)
    if conductor.PART in os.environ:
        begun, _ = job.begun_and_end()
        ranks.join()
        if not asked.is_made_up:
            data_dir = staging.stage(spec_of(trial).dataset, data_dir, site.scratch_folder())
        setup = set_up(trial, out / stages.TRIAL, data_dir, accelerator=accelerator, rehearsal=asked, **options)
        part.run(setup, asked.steps, os.environ[conductor.PART], conductor.begun(begun))
        return 0
    define(trial, None, cluster.asked_for(accelerator), options["search_space"])  # a mistake is said before it starts
    own = launch.into_environment(cluster.load().environments.get(trial.label), os.environ)
    environment = site.environment(trial.framework, trial.label)
    console = Console(highlight=False)
    console.print(f"rehearsing {trial.workload}, {trial.label}: {asked.steps} steps; log: {out / stages.LOG}")
    starter = own or launch.command(trial.framework, environment, os.environ)
    record = conductor.conduct(trial, asked, out, starter)
    table.show([record], console)
    return int(record["failed"] is not None)


def rehearsal(
    records: Annotated[list[Path], typer.Argument(help="The rehearsal.json files.")],
    out: Annotated[Path, typer.Option(help="The folder of rehearsal.csv and rehearsal.html.")],
) -> None:
    """Put rehearsals into one table: what fits, compiles, resumes, and what a step takes."""
    from rich.console import Console

    from algoperf.rehearsal import stages, table

    rows = [stages.read(path) for path in records]
    table.write(rows, out)
    table.show(rows, Console(highlight=False))
