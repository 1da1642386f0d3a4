"""`algoperf trial`: one trial, in this process or in those that it starts; or a dry run of a submission."""

import contextlib
import os
import resource
import sys
from pathlib import Path
from typing import Annotated

import typer

from algoperf.benchmark.facts import FrameworkSettings, InfrastructureError, UsageError


def trial(
    submission: Annotated[str, typer.Option(help="A name in submissions/, or the path of a file or folder.")],
    framework: Annotated[
        str | None, typer.Option(help="jax or pytorch; may be left out where submission_info.yml says it.")
    ] = None,
    workload: Annotated[
        list[str] | None,
        typer.Option(help="A workload or variant; `algoperf workloads` lists them. Several in a dry run; there all."),
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="mini, v0.5 or v0.6.")] = None,
    ruleset: Annotated[str | None, typer.Option(help="external or self; left out like the framework.")] = None,
    study: Annotated[int | None, typer.Option(help="Which repetition, from 0.")] = None,
    trial: Annotated[int | None, typer.Option(help="Which hyperparameter point, from 1.")] = None,
    out: Annotated[Path | None, typer.Option(help="The trial's folder: results and checkpoints.")] = None,
    search_space: Annotated[
        Path | None, typer.Option(help="What external tuning draws points from; a file beside the submission if not.")
    ] = None,
    search: Annotated[
        str | None, typer.Option(help="Whether studies have the same points: shared or dealt; the protocol's if not.")
    ] = None,
    strict_requirements: Annotated[
        bool, typer.Option("--strict-requirements", help="Refuse other versions than its requirements.txt asks for.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Check the submission on a few tiny steps of every workload at the mini scale instead, and write "
            "nothing. It needs only --submission and --framework. Exit code 1 where something is wrong.",
        ),
    ] = False,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop after so many steps.")] = None,
    rehearse: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Instead of training to the target: so many steps on made-up examples, an evaluation of some batches, "
            "a checkpoint, a killed process, a restart, and the same step again. What it says stands in rehearsal.json "
            "in --out. Exit code 1 where a stage fails. Protocol, study, trial and --out may be left out.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Of a rehearsal, in training and evaluation; the submission's own if not.")
    ] = None,
    with_data: Annotated[bool, typer.Option("--with-data", help="Rehearse on the prepared data.")] = False,
    accelerator: Annotated[
        str, typer.Option(help="The hardware it must find, as cluster.yaml describes it; local: any.")
    ] = "local",
    data_dir: Annotated[Path, typer.Option(help="Where prepared data lies.")] = Path("data"),
    racing: Annotated[
        str, typer.Option(help="End it where it can change nothing any more: none, trials, studies or scores.")
    ] = "none",
    plan: Annotated[Path | None, typer.Option(help="plan.json of the workflow, which says what it races with.")] = None,
    torch_compile: Annotated[
        bool | None, typer.Option(help="Whether PyTorch's model is compiled; as the workload says where left out.")
    ] = None,
    cudnn_benchmark: Annotated[
        bool | None, typer.Option(help="Whether PyTorch lets cuDNN try its algorithms out; left out likewise.")
    ] = None,
    tf32: Annotated[
        bool | None, typer.Option(help="Whether float32 may be rounded to TF32; as the framework does where left out.")
    ] = None,
) -> None:
    """Train one trial to its target. Run again it goes on where it stopped; finished it returns at once.

    A trial needs every option without a default below but --dry-run. Inside of a Slurm job it uses all that the job
    has: a process for each GPU in PyTorch, for each node in JAX.
    """
    from rich.console import Console

    from algoperf.benchmark.facts import FRAMEWORKS
    from algoperf.benchmark.identity import make_trial
    from algoperf.machine import cluster, ranks
    from algoperf.racing import race
    from algoperf.racing.bounds import LEVELS
    from algoperf.submission import loading
    from algoperf.trial import progress_lines, superseded
    from algoperf.trial.definition import Rehearsal, define

    said = loading.describe(submission)
    framework, ruleset = framework or said.framework, ruleset or said.ruleset
    if dry_run:
        from algoperf.dry_run import table

        if framework is None:
            raise UsageError(f"a dry run needs --framework, {' or '.join(FRAMEWORKS)}: no submission_info.yml says it.")
        asked = (submission, framework, workload or [], data_dir, Console(highlight=False))
        sys.exit(table.show(*asked, search_space, strict_requirements))
    if rehearse is None and (batch_size is not None or with_data):
        raise UsageError("--batch-size and --with-data are for a rehearsal (--rehearse STEPS).")
    if rehearse is not None:
        from algoperf.commands import rehearsal

        protocol, study, trial = protocol or rehearsal.PROTOCOL, study or 0, trial or 1
        ruleset = ruleset or rehearsal.ruleset_of(submission, framework, protocol)
        out = out or rehearsal.folder(workload, submission, framework)
    needed = {
        "framework": framework,
        "workload": workload,
        "protocol": protocol,
        "ruleset": ruleset,
        "study": study,
        "trial": trial,
        "out": out,
    }
    if missing := [f"--{name}" for name, value in needed.items() if value is None]:
        raise UsageError(f"a trial needs {', '.join(missing)}; only a dry run (--dry-run) does without.")
    for option, value in (("--search-space", search_space), ("--search", search)):
        if ruleset == "self" and value is not None:
            raise UsageError(f"{option} is for external tuning: under self-tuning a submission has one point.")
    if racing not in LEVELS:
        raise UsageError(f"there is no racing {racing!r}; there are {', '.join(LEVELS)}.")
    if len(workload) > 1:
        raise UsageError(f"a trial has one --workload, not {len(workload)}.")
    identity = make_trial(protocol, ruleset, submission, framework, workload[0], study, trial)
    options = {
        "search_space": search_space,
        "search": search,
        "strict_requirements": strict_requirements,
        "settings": FrameworkSettings(torch_compile, cudnn_benchmark, tf32),
    }
    if rehearse is not None:
        asked = Rehearsal(rehearse, batch_size, is_made_up=not with_data)
        sys.exit(rehearsal.run(identity, asked, out, data_dir, accelerator, options))
    definition = define(identity, max_steps, cluster.asked_for(accelerator), search_space, search, options["settings"])
    superseded.arrange(definition, out, only_finished=True)
    entered = race.enter(identity, out, racing, plan)
    result = _standing_result(definition, out, entered)
    if is_running := result is None:
        options["race"] = entered
        result = _run_trial(definition, out, data_dir, max_steps, accelerator, options)
    if not is_running or ranks.join().rank == 0:
        progress_lines.print_result(result, out, Console(highlight=False))
    # Where processes have not all ended with this result, others are waiting for this one; the exit code ends them.
    sys.exit(is_running and ranks.are_several() and result["status"] in ("out_of_memory", "submission_error"))


def _standing_result(definition, out: Path, entered) -> dict | None:
    """None where there is none, or one of racing that stands no more, which is taken back. entered: a race, if any."""
    from algoperf.racing import race
    from algoperf.racing.bounds import NONE
    from algoperf.trial import journal, superseded

    result = superseded.finished_result(definition, out)
    if result is not None and not race.stands(result, (lambda: NONE) if entered is None else entered.bound):
        journal.take_back_result(out)
        return None
    return result


def _run_trial(definition, out: Path, data_dir: Path, max_steps: int | None, accelerator: str, options: dict) -> dict:
    """In this process where it is one of the trial's; else in processes that it starts."""
    from rich.console import Console

    from algoperf.machine import cluster, interruption, job, ranks, staging
    from algoperf.trial import journal, launch, progress_lines, session, superseded
    from algoperf.trial.definition import spec_of
    from algoperf.trial.setup import set_up
    from workloads.datasets import processors

    identity = definition.trial
    site = launch.site(accelerator)

    def is_finished() -> bool:
        return superseded.finished_result(definition, out) is not None

    if inside := launch.into_environment(cluster.load().environments.get(identity.label), os.environ):
        sys.exit(launch.run(inside, sys.argv[1:], is_finished, launch.ENTERED))
    environment = site.environment(identity.framework, identity.label)
    if starter := launch.command(identity.framework, environment, os.environ):
        sys.exit(launch.run(starter, sys.argv[1:], is_finished))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # what a submission opens is its own affair
    if processors.available() < len(os.sched_getaffinity(0)):  # which is all that PyTorch looks at
        os.environ.setdefault("OMP_NUM_THREADS", str(processors.available()))
    begun, end = job.begun_and_end()
    is_first = ranks.join().rank == 0
    data_dir = staging.stage(spec_of(identity).dataset, data_dir, site.scratch_folder())
    try:
        setup = set_up(identity, out, data_dir, max_steps, accelerator, begun, **options)
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
    return result
