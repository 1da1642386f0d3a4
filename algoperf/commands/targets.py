"""`algoperf targets ...`: what the workflow's target setting runs beside its trials; rules/targets.smk calls them."""

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="Make targets from the trials of target setting; `snakemake targets` runs all of it.",
)

_WIDTH = 140  # columns of what is printed into a file

Results = Annotated[Path, typer.Option(help="The results folder.")]
Out = Annotated[Path, typer.Option(help="The file to write.")]


@app.command()
def best(
    workload: Annotated[str, typer.Argument(help="A workload or variant.")],
    protocol: Annotated[str, typer.Option(help="mini, v0.5 or v0.6.")],
    submissions: Annotated[str, typer.Option(help="Whose trials: adamw_pytorch,nadamw_pytorch.")],
    points: Annotated[int, typer.Option(min=1, help="How many trials of each, at most.")],
    out: Out,
    results: Results = Path("results"),
) -> None:
    """The best point of a workload's search, whose trials are finished."""
    from algoperf.experiment import target_records

    runs = target_records.read_search(results, protocol, workload, submissions.split(","), points)
    found = target_records.write_best_point(runs, out)
    print(f"{workload}: trial {found.trial.trial} of {found.trial.label} is the best of {len(runs)}")


@app.command(name="set")
def set_target(
    best_point: Annotated[Path, typer.Argument(help="What `algoperf targets best` has written.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many repeats of it there are.")],
    out: Out,
    results: Results = Path("results"),
) -> None:
    """The target that the repeats of a best point make, and the record of how."""
    from algoperf.experiment import target_records

    record = target_records.write_record(best_point, results, seeds, out)
    values = ", ".join(f"{split} {value:g}" for split, value in record["target"].items() if value is not None)
    print(f"{record['workload']}: {record['metric']}, {values}")


@app.command()
def table(
    records: Annotated[list[Path], typer.Argument(help="What `algoperf targets set` has written.")],
    out: Annotated[Path, typer.Option(help="The folder for targets.csv and the picture, targets.svg and .png.")],
) -> None:
    """The targets in a table and a picture: the curves of the seeds, and the line that they make."""
    from rich.console import Console

    from algoperf.experiment import target_records
    from algoperf.records.atomic import write_atomically
    from scoring.tables import plots, target_plot

    found = [target_records.read_record(path) for path in records]
    out.mkdir(parents=True, exist_ok=True)
    target_records.write_table(found, out / "targets.csv")
    figure = target_plot.target_figure(found)
    write_atomically(out / "targets.svg", plots.as_svg(figure))
    write_atomically(out / "targets.png", plots.as_png(figure))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(_printed(found))


def _printed(records: list[dict[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    printed = Table(title="Targets, as measured and as a spec states them", title_justify="left")
    for heading in ("workload", "metric", "validation", "test", "for the spec", "best point", "seeds at it"):
        printed.add_column(heading, justify="right" if heading in ("validation", "test") else "left", overflow="fold")
    for record in records:
        reaching = sum(seed["reaches"] for seed in record["seeds"])
        stated = record["rounded"]
        printed.add_row(
            Text(record["workload"]),
            record["metric"],
            *("" if value is None else f"{value:.6g}" for value in record["target"].values()),
            f"{stated['validation']:g}" + ("" if stated["test"] is None else f", {stated['test']:g}"),
            Text(f"{record['submission']}, {record['trial']}"),
            f"{reaching} of {len(record['seeds'])}",
        )
    return printed
