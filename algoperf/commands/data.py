"""`algoperf data`: raw files from the internet, into a prepared store, and a look at what is in it."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from algoperf.benchmark.facts import InfrastructureError

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

    from workloads.datasets.store import Progress

app = typer.Typer(no_args_is_help=True, help="Raw files from the internet, into the prepared store.")

_SAID_EVERY = 60  # seconds, where nobody looks

Workload = Annotated[str, typer.Argument(help="A workload or variant.")]
Scale = Annotated[str, typer.Option(help="full or mini.")]
DataDir = Annotated[Path, typer.Option(help="Where prepared data lies.")]


@contextlib.contextmanager
def _bars(*columns: "ProgressColumn") -> "Iterator[Progress]":
    """A function that shows progress, a line for each stage."""
    from rich import progress

    with progress.Progress(*(columns or progress.Progress.get_default_columns())) as bars:
        tasks = {}

        said = time.monotonic()

        def show(what: str, done: int, total: int) -> None:
            nonlocal said
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)
            if not bars.console.is_terminal and time.monotonic() > said + _SAID_EVERY:  # the log of a job
                said = time.monotonic()
                print(f"{what}: {done:,} of {total:,}", flush=True)

        yield show


@app.command()
def fetch(
    workload: Workload,
    source: Annotated[Path, typer.Option(help="The folder for the raw files, which `prepare --source` reads.")],
    links: Annotated[
        Path | None,
        typer.Option(help="A text with your own links, such as the mail that brought them, saved as it is."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Fetch nothing: ask every server whether it has the file, in its full size.")
    ] = False,
) -> None:
    """Fetch the official raw files of a workload: in parallel, checked, and going on where it was stopped."""
    from rich import progress

    from algoperf.benchmark.registry import load_spec
    from workloads.datasets.fetch import folder, hub, official
    from workloads.datasets.fetch.client import Client
    from workloads.datasets.fetch.links import read_links

    known = official.load(load_spec(workload, "full").dataset)
    own = read_links(links) if links is not None else {}
    client = Client(folder.CONNECTIONS)
    if not check:
        official.with_links(known.files, own, known)  # says what is missing before anything is asked
    files = (*known.files, *(file for listed in known.listed for file in hub.list_files(listed, client)))
    if check:
        _check(official.with_links(files, own, known, needed=False), client)
        return
    wanted = official.with_links(files, own, known)
    size = f"{sum(file.bytes or 0 for file in wanted) / 1e9:,.1f} GB"
    if unknown := sum(file.bytes is None for file in wanted):
        size += f" and {unknown} of unknown size"
    print(f"{known.dataset}: {len(wanted)} files, {size}; {known.terms} ({known.page})")
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with _bars(*columns) as show:
        done = folder.fetch(wanted, source, client, show)
    print(f"{source}: {done.files} files, {done.bytes / 1e9:,.1f} GB, {done.new} of them new; each was checked")
    print(f"next: algoperf data prepare {workload} --source {source}")


def _check(files, client) -> None:
    from workloads.datasets.fetch import folder

    bad = {file.name for file in files}
    for file, where, wrong in folder.check(files, client):
        size = "of unknown size" if file.bytes is None else f"{file.bytes:,} bytes"
        print(f"wrong {file.name}: {wrong}" if wrong else f"ok    {file.name}: {size} at {where}")
        if not wrong:
            bad.discard(file.name)
    without = {file.name for file in files if not file.urls}
    for name in sorted(without):
        print(f"      {name}: given by agreement, needs a link of your own")
    if bad - without:
        raise InfrastructureError(f"no server has {', '.join(sorted(bad - without))} as it is known here.")


@app.command()
def prepare(
    workload: Workload,
    scale: Scale = "full",
    source: Annotated[
        Path | None, typer.Option(help="Raw files, as `fetch` brings them; docs/data.md says which.")
    ] = None,
    data_dir: DataDir = Path("data"),
) -> None:
    """Make the prepared store of a workload's dataset: resumable, checksummed; nothing to do where it is there."""
    from algoperf.benchmark.registry import load_spec
    from algoperf.machine.staging import prepare_alone
    from workloads.datasets.verify import check_counts

    spec = load_spec(workload, scale)
    with _bars() as show:
        manifest = prepare_alone(spec.dataset, data_dir, source, show)
    check_counts(spec, data_dir)
    print(f"{spec.dataset}: {manifest}")


@app.command()
def verify(
    workload: Workload,
    scale: Scale = "full",
    data_dir: DataDir = Path("data"),
    sheet: Annotated[
        Path | None, typer.Option(help="The page to write; <dataset>.html in --data-dir where left out.")
    ] = None,
) -> None:
    """Read every byte of a prepared store, count its examples, and show some of them on one HTML page."""
    from algoperf.benchmark.registry import load_spec
    from workloads.datasets import verify

    spec = load_spec(workload, scale)
    sheet = sheet or data_dir / f"{spec.dataset}.html"
    verify.verify(spec, data_dir, sheet)
    print(f"{spec.dataset}: every checksum is right, and the numbers are the benchmark's; look at {sheet}")
