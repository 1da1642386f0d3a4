"""`algoperf status`: where every trial of an experiment is, on the terminal, as JSON, or as a page."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from algoperf.benchmark.facts import UsageError


def status(
    results: Annotated[Path | None, typer.Argument(help="The results folder; the config's where left out.")] = None,
    config: Annotated[Path, typer.Option(help="The experiment.")] = Path("config/mini.yaml"),
    every_trial: Annotated[bool, typer.Option("--all", help="A line for each trial, however many there are.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Stay, and look again every few seconds; Ctrl-C ends it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page instead, which a browser reads again by itself; --live keeps it up to date."),
    ] = None,
) -> None:
    """Every trial of an experiment: done (how), running, failed (why), stopped or waiting, and when it ends."""
    from rich.console import Console

    from algoperf.experiment import config as configs
    from algoperf.experiment import plan, target_records
    from algoperf.progress import forecast, status, status_view

    if html is not None and as_json:
        raise UsageError("--html writes a page and --json prints a list; choose one of them.")
    experiment = configs.load(config)
    results = results or experiment.results_dir
    trials = [*plan.trials(experiment), *target_records.begun_trials(experiment, results)]
    reader = status.Reader(trials, results, plan.definitions(experiment, trials, _asked_for(experiment)))
    console = Console(highlight=False)
    if html is not None:
        from algoperf.commands import status_page

        status_page.write(reader, f"{config}: {experiment.protocol}", html, live, lambda: _left_out(results))
        console.print(f"page: {html}", markup=False, soft_wrap=True)
        return
    if live and not as_json and console.is_terminal:
        status_view.watch(reader, console)
    found = reader.read()
    seen = forecast.forecast(found, time.time())
    if as_json:
        entries = [{**status.as_dict(entry), "ends_in": seen.ends.get(entry.trial)} for entry in found]
        print(json.dumps(entries, indent=2))
    else:
        status_view.print_status(found, seen, console, every_trial)
        for sentence in _left_out(results):
            console.print(sentence, soft_wrap=True, markup=False)


def _left_out(results: Path) -> list[str]:
    """Which nodes the run's later jobs leave out, and why."""
    from algoperf.experiment import left_out

    known = left_out.known(results).items()
    return [f"{nodes} is left out by the run's later jobs: {why}" for nodes, why in known]


def _asked_for(experiment):
    """What the trials must run on; anything where this machine's cluster.yaml does not say what the name stands for."""
    from algoperf.machine import cluster

    try:
        return cluster.asked_for(experiment.accelerator)
    except UsageError:
        return None
