"""`algoperf trial`: one trial, in this process or in those that it starts; or a dry run of a submission."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from algoperf.benchmark.facts import InfrastructureError, UsageError


def trial(
    framework: Annotated[str, typer.Option(help="jax or pytorch.")],
    submission: Annotated[str, typer.Option(help="A name in submissions/, or the path of a file or folder.")],
    workload: Annotated[
        list[str] | None,
        typer.Option(help="A workload or variant; `algoperf workloads` lists them. Several in a dry run; there all."),
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="mini, v0.5 or v0.6.")] = None,
    ruleset: Annotated[str | None, typer.Option(help="external or self.")] = None,
    study: Annotated[int | None, typer.Option(help="Which repetition, from 0.")] = None,
    trial: Annotated[int | None, typer.Option(help="Which hyperparameter point, from 1.")] = None,
    out: Annotated[Path | None, typer.Option(help="The trial's folder: results and checkpoints.")] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Check the submission on a few tiny steps of every workload at the mini scale instead, and write "
            "nothing. It needs only --framework and --submission. Exit code 1 where something is wrong.",
        ),
    ] = False,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop after so many steps.")] = None,
    accelerator: Annotated[
        str, typer.Option(help="The hardware it must find, as cluster.yaml describes it; local: any.")
    ] = "local",
    data_dir: Annotated[Path, typer.Option(help="Where prepared data lies.")] = Path("data"),
) -> None:
    """Train one trial to its target. Run again it goes on where it stopped; finished it returns at once.

    A trial needs every option without a default below but --dry-run. Inside of a Slurm job it uses all that the job
    has: a process for each GPU in PyTorch, for each node in JAX.
    """
    from rich.console import Console

    from algoperf.benchmark.identity import make_trial
    from algoperf.machine import cluster
    from algoperf.trial import progress_lines, superseded
    from algoperf.trial.definition import define

    if dry_run:
        from algoperf.dry_run import table

        sys.exit(table.show(submission, framework, workload or [], data_dir, Console(highlight=False)))
    needed = {
        "workload": workload,
        "protocol": protocol,
        "ruleset": ruleset,
        "study": study,
        "trial": trial,
        "out": out,
    }
    if missing := [f"--{name}" for name, value in needed.items() if value is None]:
        raise UsageError(f"a trial needs {', '.join(missing)}; only a dry run (--dry-run) does without.")
    if len(workload) > 1:
        raise UsageError(f"a trial has one --workload, not {len(workload)}.")
    identity = make_trial(protocol, ruleset, submission, framework, workload[0], study, trial)
    definition = define(identity, max_steps, cluster.asked_for(accelerator))
    superseded.arrange(definition, out, only_finished=True)
    result = superseded.finished_result(definition, out)
    if result is None:
        result = _run_trial(definition, out, data_dir, max_steps, accelerator)
    progress_lines.print_result(result, out, Console(highlight=False))


def _run_trial(definition, out: Path, data_dir: Path, max_steps: int | None, accelerator: str) -> dict:
    """In this process where it is one of the trial's; else in processes that it starts."""
    from rich.console import Console

    from algoperf.machine import cluster, interruption, job, ranks, staging
    from algoperf.trial import journal, launch, progress_lines, session, superseded
    from algoperf.trial.definition import spec_of
    from algoperf.trial.setup import set_up

    identity = definition.trial
    site = cluster.load() if job.current() or accelerator != cluster.LOCAL else cluster.Cluster()
    if starter := launch.command(identity.framework, site.environment(identity.framework), os.environ):
        sys.exit(launch.run(starter, sys.argv[1:], lambda: superseded.finished_result(definition, out) is not None))
    begun, end = job.begun_and_end()
    is_first = ranks.join().rank == 0
    data_dir = staging.stage(spec_of(identity).dataset, data_dir, site.scratch_folder())
    try:
        setup = set_up(identity, out, data_dir, max_steps, accelerator, begun)
    except InfrastructureError as error:
        with contextlib.suppress(OSError):  # the error is told in any case
            journal.log_error(out, str(error))
        raise
    watch = job.watch(begun, end, setup.workload.spec.needs.evaluation_time)
    reporter = progress_lines.Reporter(setup, Console(highlight=False, quiet=not is_first))
    try:
        result = session.execute(setup, reporter, watch=watch)
    except interruption.InterruptionError as error:
        job.go_on_later(error, is_first)
        raise
    if not is_first:
        # Where the first process has not ended with the same result it is waiting for this one; the exit code ends it.
        sys.exit(result["status"] in ("out_of_memory", "submission_error"))
    return result
