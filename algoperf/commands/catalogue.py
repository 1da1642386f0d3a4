"""The table of workloads and variants, for people and for programs."""

import dataclasses
import enum
from typing import Any

from rich.console import Console
from rich.table import Table

from algoperf.benchmark.facts import Scale
from algoperf.benchmark.registry import has_scale, load_spec, workload_names


def entry(name: str, scale: Scale) -> dict[str, Any]:
    """A workload's spec as plain data. Raises UsageError for an unknown name or scale."""
    return _plain(dataclasses.asdict(load_spec(name, scale)))


def entries(scale: Scale) -> list[dict[str, Any]]:
    """All workloads and variants that have the scale."""
    return [entry(name, scale) for name in workload_names() if has_scale(name, scale)]


def print_table(found: list[dict[str, Any]]) -> None:
    table = Table()
    for heading in ("workload", "dataset", "metric", "validation target", "test target", "budget s"):
        table.add_column(heading, justify="left" if heading in ("workload", "dataset", "metric") else "right")
    for spec in found:
        target, budgets = spec["target"], spec["budget"]
        sign = "<=" if target["goal"] == "min" else ">="
        table.add_row(
            spec["name"] if not spec["variant"] else f"  {spec['name']}",
            spec["dataset"],
            target["metric"],
            f"{sign} {target['validation']:g}",
            "none" if target["test"] is None else f"{sign} {target['test']:g}",
            ", ".join(f"{name}: {budget['max_runtime']:,}" for name, budget in budgets.items()),
        )
    Console(highlight=False).print(table)


def print_entry(spec: dict[str, Any]) -> None:
    console = Console(highlight=False)
    for key, value in spec.items():
        if isinstance(value, dict) and value:
            console.print(f"{key}:", markup=False)
            for name, inner in value.items():
                console.print(f"  {name}: {inner}", markup=False)
        else:
            console.print(f"{key}: {value}", markup=False)


def _plain(value: Any) -> Any:
    """Enumerations by name and tuples as lists, for JSON."""
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
