"""The command line: `algoperf COMMAND`. Exit codes: 0 a result, 1 an infrastructure failure, 2 a usage error.

Every command imports what it needs when it runs, so that `--help` starts at once and only a trial imports a framework.
"""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from algoperf.spec import InfrastructureError, UsageError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="AlgoPerf: Training Algorithms. Which training algorithm trains neural networks faster?",
)
data = typer.Typer(no_args_is_help=True, help="Raw files into the prepared store.")
app.add_typer(data, name="data")

DataDir = Annotated[Path, typer.Option(help="Where prepared data lies.")]
ProtocolName = Annotated[str, typer.Option(help="mini, v0.5 or v0.6.")]
RulesetName = Annotated[str, typer.Option(help="external or self.")]
ConfigFile = Annotated[Path, typer.Option(help="The experiment.")]


@app.command()
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
    data_dir: DataDir = Path("data"),
) -> None:
    """Train one trial to its target. Run again it goes on where it stopped; finished it returns at once.

    A trial needs every option without a default below but --dry-run. Inside of a Slurm job it uses all that the job
    has: a process for each GPU in PyTorch, for each node in JAX.
    """
    from rich.console import Console

    from algoperf import progress
    from algoperf import trial as trials
    from algoperf.plan import make_trial

    if dry_run:
        from algoperf import dry_run_table

        sys.exit(dry_run_table.show(submission, framework, workload or [], data_dir, Console(highlight=False)))
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
    result = trials.finished_result(identity, out)
    if result is None:
        result = _run_trial(identity, out, data_dir, max_steps, accelerator)
    progress.print_result(result, Console(highlight=False))


def _run_trial(identity, out: Path, data_dir: Path, max_steps: int | None, accelerator: str) -> dict:
    """In this process where it is one of the trial's; else in processes that it starts."""
    from rich.console import Console

    from algoperf import cluster, interruption, job, journal, launch, progress, ranks, session, staging
    from algoperf import trial as trials

    site = cluster.load() if job.current() or accelerator != cluster.LOCAL else cluster.Cluster()
    if starter := launch.command(identity.framework, site.environment(identity.framework), os.environ):
        sys.exit(launch.run(starter, sys.argv[1:], out))
    begun, end = job.begun_and_end()
    is_first = ranks.join().rank == 0
    data_dir = staging.stage(trials.spec_of(identity).dataset, data_dir, site.scratch_folder())
    try:
        setup = trials.set_up(identity, out, data_dir, max_steps, accelerator, begun)
    except InfrastructureError as error:
        with contextlib.suppress(OSError):  # the error is told in any case
            journal.log_error(out, str(error))
        raise
    watch = job.watch(begun, end, setup.workload.spec.needs.evaluation_time)
    reporter = progress.Reporter(setup, Console(highlight=False, quiet=not is_first))
    try:
        result = session.execute(setup, reporter, watch=watch)
    except interruption.InterruptionError as error:
        job.go_on_later(error, is_first)
        raise
    if not is_first:
        # Where the first process has not ended with the same result it is waiting for this one; the exit code ends it.
        sys.exit(result["status"] in ("out_of_memory", "submission_error"))
    return result


@app.command()
def score(
    logs: Annotated[Path, typer.Argument(help="A folder of <submission>/study_<i>/<workload>_<framework>/trial_<k>/.")],
    protocol: ProtocolName,
    ruleset: RulesetName,
    out: Annotated[Path, typer.Option(help="The folder for tables, pictures and report.html.")],
    reading: Annotated[
        str, typer.Option(help="as-documented, or as-published (the reference code).")
    ] = "as-documented",
    with_published: Annotated[
        str | None,
        typer.Option("--with", help="Rank a published leaderboard's submissions too: published:v0.5-external."),
    ] = None,
    allow_mixed_hardware: Annotated[
        bool, typer.Option("--allow-mixed-hardware", help="Compare times of unlike machines; the score says so.")
    ] = False,
    partial: Annotated[
        str | None,
        typer.Option(help="How much of the experiment this is, such as '37 of 40 trials'; the score says so."),
    ] = None,
) -> None:
    """Score a tree of logs, ours or anyone's: leaderboard, performance profile, and why workloads were lost."""
    from rich.console import Console

    from scoring.command import score_logs
    from scoring.leaderboard import leaderboard

    result = score_logs(logs, protocol, ruleset, reading, out, with_published, allow_mixed_hardware, partial)
    console = Console(highlight=False)
    console.print(leaderboard(result))
    console.print(f"report: {out / 'report.html'}", markup=False)


@app.command()
def plan(
    config: ConfigFile = Path("config/mini.yaml"),
    nodes: Annotated[int, typer.Option(min=1, help="How many nodes there are for the wall clock.")] = 1,
) -> None:
    """What an experiment costs at most, before anything is submitted."""
    from rich.console import Console
    from rich.table import Table

    from algoperf import config as configs
    from algoperf import estimate, plan

    trials = plan.trials(configs.load(config))
    table = Table("workload", "trials", "accelerator-hours at most", title=f"{config}", title_justify="left")
    for row in estimate.estimates(trials):
        table.add_row(row.workload, f"{row.trials:,}", f"{row.accelerator_hours:,.1f}")
    hours = estimate.wall_clock_hours(trials, nodes)
    total = sum(row.accelerator_hours for row in estimate.estimates(trials))
    table.add_section()
    table.add_row("all", f"{len(trials):,}", f"{total:,.1f}")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"on {nodes} node(s) at most {hours:,.1f} hours of training; evaluations come on top")


@app.command()
def status(
    results: Annotated[Path | None, typer.Argument(help="The results folder; the config's where left out.")] = None,
    config: ConfigFile = Path("config/mini.yaml"),
    every_trial: Annotated[bool, typer.Option("--all", help="A line for each trial, however many there are.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list.")] = False,
) -> None:
    """Every trial of an experiment: done (how), running, failed (why), stopped or waiting."""
    from algoperf import config as configs
    from algoperf import plan, status

    experiment = configs.load(config)
    found = status.statuses(plan.trials(experiment), results or experiment.results_dir)
    if as_json:
        print(json.dumps([status.as_dict(entry) for entry in found], indent=2))
    else:
        status.print_table(found, every_trial)


@app.command()
def rerun(
    names: Annotated[
        list[str] | None, typer.Argument(help="Folders of trials, or parts of their paths: nadamw_jax, wmt, trial_2.")
    ] = None,
    status: Annotated[str | None, typer.Option(help="How they ended: out_of_memory,submission_error.")] = None,
    config: ConfigFile = Path("config/mini.yaml"),
) -> None:
    """Put finished trials back to be run: they are moved aside, and the next `snakemake` starts them anew."""
    from algoperf import config as configs
    from algoperf import rerun

    experiment = configs.load(config)
    statuses = None if status is None else set(status.split(","))
    for moved in rerun.rerun(experiment, experiment.results_dir, statuses, names or []):
        print(moved)


@app.command()
def workloads(
    name: Annotated[str | None, typer.Argument(help="One workload or variant, in full.")] = None,
    scale: Annotated[str, typer.Option(help="full or mini.")] = "full",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """The table of workloads and variants, or one of them in full."""
    from algoperf import catalogue

    chosen = catalogue.entries(scale) if name is None else [catalogue.entry(name, scale)]
    if as_json:
        print(json.dumps(chosen if name is None else chosen[0], indent=2))
    elif name is None:
        catalogue.print_table(chosen)
    else:
        catalogue.print_entry(chosen[0])


@app.command()
def new_submission(
    name: Annotated[str, typer.Argument(help="What it will be called: letters, digits and _.")],
    framework: Annotated[str, typer.Option(help="jax or pytorch.")],
    into: Annotated[Path, typer.Option(help="The folder that its folder is put into.")] = Path("submissions"),
) -> None:
    """Begin a submission: a folder with an algorithm that runs, written out to be changed, and how to try it."""
    from algoperf import new_submission

    folder = new_submission.create(name, framework, into)
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    print(f"change `update` in {folder / framework}.py; {folder / 'README.md'} says how to try it")


@app.command()
def doctor(
    config: ConfigFile = Path("config/mini.yaml"),
    propose: Annotated[
        bool, typer.Option("--propose", help="Print a first cluster.yaml, read from the live cluster, instead.")
    ] = False,
) -> None:
    """Check this machine or cluster: frameworks, data, Slurm. Each line is ok or says how to mend it."""
    from algoperf import doctor, proposal

    if propose:
        print(proposal.propose(), end="")
    elif not doctor.print_checks(config):
        sys.exit(1)


@data.command()
def prepare(
    workload: Annotated[str, typer.Argument(help="A workload or variant.")],
    scale: Annotated[str, typer.Option(help="full or mini.")] = "full",
    source: Annotated[Path | None, typer.Option(help="Raw files that you have; docs/data.md says which.")] = None,
    data_dir: DataDir = Path("data"),
) -> None:
    """Make the prepared store of a workload's dataset: resumable, checksummed; nothing to do where it is there."""
    from rich.progress import Progress

    from algoperf.registry import load_spec
    from workloads.datasets.prepare import prepare_dataset

    dataset = load_spec(workload, scale).dataset
    with Progress() as bars:
        tasks = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        manifest = prepare_dataset(dataset, data_dir, source, progress)
    print(f"{dataset}: {manifest}")


@data.command()
def verify(
    workload: Annotated[str, typer.Argument(help="A workload or variant.")],
    scale: Annotated[str, typer.Option(help="full or mini.")] = "full",
    data_dir: DataDir = Path("data"),
) -> None:
    """Read every byte of a prepared store and compare the checksums."""
    from algoperf import store
    from algoperf.registry import load_spec
    from workloads.datasets.prepare import open_source, store_path

    spec = load_spec(workload, scale)
    open_source(spec, "train", data_dir)
    folder = store_path(data_dir, spec.dataset)
    if damaged := store.verify(folder):
        raise InfrastructureError(f"{folder / damaged[0]} is damaged; remove {folder} and prepare it again.")
    print(f"{spec.dataset}: every checksum is right")


def main() -> None:
    """Turns the two kinds of error a person should see into one sentence and an exit code."""
    try:
        app()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except InfrastructureError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
