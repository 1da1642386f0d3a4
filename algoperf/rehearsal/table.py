"""Rehearsals as a table: for a terminal, as csv, and as a page."""

import csv
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.protocol import load_protocol
from algoperf.benchmark.registry import load_spec
from algoperf.records import atomic
from algoperf.rehearsal.stages import STAGES

CSV, PAGE = "rehearsal.csv", "rehearsal.html"
_GIB = 2**30
_HEADER = (
    "workload",
    "submission",
    "hardware",
    "examples",
    "batch size",
    "ends",
    "to first step (s)",
    "ms a step",
    "waiting (ms)",
    "batches a second, by cores",
    "ms a step by the budget",
    "evaluation (s)",
    "peak (GiB)",
    "checkpoint (GiB)",
    "restart (s)",
    "same step",
    "why",
    "done",
    "code",
)


def rows(records: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [_row(record) for record in records]


def _row(record: Mapping[str, Any]) -> dict[str, str]:
    hardware = record.get("hardware")
    seconds = record["seconds"]
    values = (
        record["workload"],
        record["submission"],
        f"{hardware['count']} x {hardware['name']}" if hardware else "",
        record["examples"],
        str(record.get("batch_size", "")),
        f"fails: {record['failed']}" if record["failed"] else "as it should",
        _number(seconds.get("first step")),
        _number(record["seconds_a_step"], 1e3),
        _number(record["seconds_waiting"], 1e3),
        ", ".join(f"{cores}: {rate:.3g}" for cores, rate in (record["batches_a_second"] or {}).items()),
        _number(published_seconds_a_step(record["workload"], record["protocol"]), 1e3),
        _number(seconds.get("evaluation")),
        _number(record["peak_bytes"], 1 / _GIB),
        _number(record["checkpoint_bytes"], 1 / _GIB),
        _number(seconds.get("restart")),
        record["same_step"] or "",
        record["why"],
        record["done"],
        (record["git_commit_hash"] or "")[:10],
    )
    return dict(zip(_HEADER, values, strict=True))


def published_seconds_a_step(workload: str, protocol: str) -> float | None:
    """What the budget of the protocol gives each of the steps that fit into it, on the hardware that it was set on."""
    of = load_protocol(protocol)
    spec = load_spec(workload, of.scale)
    if of.scale == "mini" or protocol not in spec.budget:
        return None
    budget = spec.budget[protocol]
    return budget.max_runtime / budget.step_hint


def _number(value: float | None, times: float = 1.0) -> str:
    return "" if value is None else f"{value * times:.3g}"


def show(records: Sequence[Mapping[str, Any]], console: Console) -> None:
    """A block for each cell: a terminal is too narrow for a table of all."""
    for row in rows(records):
        grid = Table.grid(padding=(0, 2))
        for name, value in row.items():
            if value:
                grid.add_row(name, value)
        console.print(grid)
        console.print()


def write(records: Sequence[Mapping[str, Any]], out: Path) -> None:
    """`rehearsal.csv` and `rehearsal.html`. Raises UsageError where there are none."""
    if not records:
        raise UsageError("there are no rehearsals to put into a table.")
    found = rows(records)
    out.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _HEADER)
    writer.writeheader()
    writer.writerows(found)
    atomic.write_atomically(out / CSV, text.getvalue().encode())
    atomic.write_atomically(out / PAGE, page(found).encode())


_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; }
div { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid #8886; text-align: left; vertical-align: top; }
th { white-space: nowrap; }
td:first-child { position: sticky; left: 0; background: Canvas; font-weight: 600; }
tr.fails td:first-child { border-left: 4px solid #c62828; }
"""


def page(found: Sequence[Mapping[str, str]]) -> str:
    """One file that needs nothing but itself: a row for each cell, those that fail first."""
    ordered = sorted(found, key=lambda row: not row["ends"].startswith("fails"))
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in _HEADER)
    body = "".join(
        f'<tr class="{"fails" if row["ends"].startswith("fails") else "ends"}">'
        + "".join(f"<td>{html.escape(row[name])}</td>" for name in _HEADER)
        + "</tr>\n"
        for row in ordered
    )
    failing = sum(row["ends"].startswith("fails") for row in found)
    verdict = f"{failing} of {len(found)} cells fail" if failing else f"all {len(found)} cells end as they should"
    stages = "".join(f"<li><b>{html.escape(name)}</b>: {html.escape(what)}</li>" for name, what in STAGES.items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>AlgoPerf: dress rehearsal</title><style>{_STYLE}</style></head><body>
<h1>Dress rehearsal: {verdict}</h1>
<p>Each cell was walked through as its trials will be run. Peak memory is of one process's devices, or of the process
where these are processors.</p>
<div tabindex="0" role="region" aria-label="cells"><table><thead><tr>{head}</tr></thead><tbody>
{body}</tbody></table></div>
<h2>The stages</h2><ol>{stages}</ol>
</body></html>
"""
