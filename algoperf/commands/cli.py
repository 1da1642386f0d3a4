"""The command line: `algoperf COMMAND`. Exit codes: 0 a result, 1 an infrastructure failure, 2 a usage error.

Every command imports what it needs when it runs, so that `--help` starts at once and only a trial imports a framework.
"""

import gc
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from algoperf.commands import data, exit_code, fit, mirror, rehearsal, report, status, submission, targets, trial
from algoperf.machine import ranks

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="AlgoPerf: Training Algorithms. Which training algorithm trains neural networks faster?",
)
app.add_typer(data.app, name="data")
app.add_typer(submission.app, name="submission")
app.add_typer(targets.app, name="targets")
app.command()(trial.trial)
app.command()(rehearsal.rehearsal)
app.command()(status.status)
app.command()(report.report)
app.command()(mirror.mirror)
app.command()(fit.fit)

ConfigFile = Annotated[Path, typer.Option(help="The experiment.")]


@app.command()
def score(
    logs: Annotated[
        Path,
        typer.Argument(
            help="A results folder, or one of <submission>/study_<i>/<workload>_<framework>/trial_<k>/, or "
            "published:<name>, such as published:v0.6-a100-self."
        ),
    ],
    protocol: Annotated[
        str | None,
        typer.Option(help="mini, v0.5, v0.6 or v0.6-a100; may be left out where LOGS has one only, or with --with."),
    ] = None,
    ruleset: Annotated[str | None, typer.Option(help="external or self; left out like the protocol.")] = None,
    out: Annotated[Path, typer.Option(help="The folder for tables, pictures and report.html.")] = Path("scores"),
    reading: Annotated[
        str, typer.Option(help="as-documented, or as-published (the reference code).")
    ] = "as-documented",
    with_published: Annotated[
        str | None,
        typer.Option("--with", help="Rank a published leaderboard too, such as published:v0.6-a100-self."),
    ] = None,
    allow_mixed_hardware: Annotated[
        bool, typer.Option("--allow-mixed-hardware", help="Compare times of unlike machines; the score says so.")
    ] = False,
    partial: Annotated[
        str | None,
        typer.Option(help="How much of the experiment this is, such as '37 of 40 trials'; the score says so."),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Pictures and report.html, or only tables, for scripts.")
    ] = True,
    plan: Annotated[
        Path | None, typer.Option(help="plan.json of the workflow: only its trials are ranked, others are named.")
    ] = None,
) -> None:
    """Score a tree of logs, ours or anyone's: leaderboard, profile, why workloads were lost, and how sure it is."""
    from rich.console import Console

    from scoring.command import score_logs
    from scoring.tables.leaderboard import shown

    result = score_logs(
        logs, protocol, ruleset, reading, out, with_published, allow_mixed_hardware, partial, report, plan
    )
    gc.freeze()  # nobody looks through thousands of trials for garbage on the way out
    console = Console(highlight=False)
    for table in shown(result):
        console.print(table)
    console.print(f"report: {out / 'report.html'}" if report else f"tables: {out}", markup=False)


@app.command()
def plan(
    config: ConfigFile = Path("config/mini.yaml"),
    nodes: Annotated[int, typer.Option(min=1, help="How many nodes there are for the wall clock.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON: seconds, accelerator-hours and bytes.")] = False,
) -> None:
    """What an experiment costs: time, accelerator-hours and disk, at most and expected, before anything is submitted.

    Expected is what published trials took. Where the experiment has finished trials, what they took stands beside it,
    and what is left is forecast from both.
    """
    from rich.console import Console

    from algoperf.experiment import config as configs
    from algoperf.machine import cluster
    from algoperf.progress import outlook, outlook_view

    experiment = configs.load(config)
    found = outlook.look(experiment, cluster.load().accelerator(experiment.accelerator), nodes)
    if as_json:
        print(json.dumps(outlook.as_dict(found), indent=2))
    else:
        outlook_view.print_outlook(found, str(config), Console(highlight=False))


@app.command()
def rerun(
    names: Annotated[
        list[str] | None, typer.Argument(help="Folders of trials, or parts of their paths: nadamw_jax, wmt, trial_2.")
    ] = None,
    status: Annotated[str | None, typer.Option(help="How they ended: out_of_memory,submission_error.")] = None,
    config: ConfigFile = Path("config/mini.yaml"),
) -> None:
    """Put finished trials back to be run: they are moved aside, and the next `snakemake` starts them anew."""
    from algoperf.experiment import config as configs
    from algoperf.experiment import rerun

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
    from algoperf.commands import catalogue

    chosen = catalogue.entries(scale) if name is None else [catalogue.entry(name, scale)]
    if as_json:
        print(json.dumps(chosen if name is None else chosen[0], indent=2))
    elif name is None:
        catalogue.print_table(chosen)
    else:
        catalogue.print_entry(chosen[0])


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The folder, which need not be there yet; nothing is overwritten.")],
) -> None:
    """Begin a folder to run experiments from, outside of a checkout: Snakefile, configs and profiles."""
    from algoperf.experiment import begin

    written = begin.begin(folder)
    print(f"{folder}: {', '.join(path.name for path in written)}")
    print(
        "in it, `snakemake --profile profiles/local` runs the mini benchmark, `snakemake --profile slurm` on a cluster"
    )


@app.command()
def new_submission(
    name: Annotated[str, typer.Argument(help="What it will be called: letters, digits and _.")],
    framework: Annotated[str, typer.Option(help="jax or pytorch.")],
    into: Annotated[Path, typer.Option(help="The folder that its folder is put into.")] = Path("submissions"),
) -> None:
    """Begin a submission: a folder with an algorithm that runs, written out to be changed, and how to try it."""
    from algoperf.submission import new

    folder = new.create(name, framework, into)
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
    from algoperf.doctor import checks, proposal

    if propose:
        print(proposal.propose(), end="")
    elif not checks.print_checks(config):
        sys.exit(1)


def main() -> None:
    """Ends the process with the exit code of what was asked for."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a terminal may lack a character
    code = exit_code.of(app)
    if code != 0 and ranks.are_several():
        ranks.leave(code)
    sys.exit(code)
