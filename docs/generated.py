"""What the site takes from the code itself, as Markdown: it cannot be out of date."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rooms
import typer
import yaml

from algoperf.benchmark import registry
from algoperf.benchmark.protocol import PROTOCOLS
from algoperf.commands.cli import app
from algoperf.experiment.config import Config

DOCS = Path(__file__).parent
_TYPES = {"boolean": "`true` or `false`", "integer": "a whole number", "null": "nothing", "string": "text"}
_LINK_OUT = re.compile(r"\[([^]]*)\]\((\.\./[^)#]+)\)")
_MARK = re.compile(r"<!-- generated: (\w+) -->")


def fill(page: str) -> str:
    """A page's Markdown with everything generated that it asks for. Raises KeyError for what there is none of."""
    return _LINK_OUT.sub(_linked, _MARK.sub(lambda mark: GENERATED[mark[1]](), page))


def _linked(link: re.Match) -> str:
    """A link to something of the repository that is no page of the site: a file to download; of a folder, its name."""
    text, target = link.groups()
    return text if (DOCS / target).is_dir() else f"[{text}](path:{target})"


def _table(heading: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heading, ("---",) * len(heading), *(tuple(map(_literal, row)) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _literal(text: str) -> str:
    """Text that Markdown leaves as it is, outside of `code`; within, only the bar would end a cell."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([<*_\[])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts).replace("|", "\\|")


def config_keys() -> str:
    """A table of the keys of a config, from the model that checks configs."""
    schema = Config.model_json_schema()
    rows = [
        (
            f"`{key}`",
            _allowed(entry, schema),
            "needed" if key in schema["required"] else f"`{_in_yaml(entry['default'])}`",
            entry.get("description", ""),
        )
        for key, entry in schema["properties"].items()
    ]
    return _table(("key", "value", "where left out", "what it says"), rows)


def _allowed(entry: dict[str, Any], schema: dict[str, Any]) -> str:
    """A value's type in words, or the values that are allowed."""
    if "$ref" in entry:
        keys = schema["$defs"][entry["$ref"].rpartition("/")[2]]["properties"]
        return "{" + ", ".join(f"`{key}`: {_allowed(value, schema)}" for key, value in keys.items()) + "}"
    if "anyOf" in entry:
        return ", or ".join(_allowed(choice, schema) for choice in entry["anyOf"])
    if "enum" in entry:
        return " or ".join(f"`{value}`" for value in entry["enum"])
    if "const" in entry:
        return f"`{entry['const']}`"
    if entry["type"] == "array":
        return f"a list of {_allowed(entry['items'], schema)}"
    return _TYPES.get(entry.get("type"), "anything")


def _in_yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...")


def commands() -> str:
    """A section for each command, from the command line itself."""
    return "\n\n".join(_section(name, command) for name, command in walk(typer.main.get_command(app), "algoperf"))


def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """(its name, the command) of every command that does something, groups opened."""
    if hasattr(command, "commands"):
        for inner, entry in command.commands.items():
            yield from walk(entry, f"{name} {inner}")
    else:
        yield name, command


def _section(name: str, command: Any) -> str:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    words = [
        *(_metavar(argument) if argument.required else f"[{_metavar(argument)}]" for argument in arguments),
        *(_spelled(option) for option in options if option.required),
        *(["[OPTIONS]"] if any(not option.required for option in options) else []),
    ]
    usage = textwrap.wrap(f"{name} {' '.join(words)}", 90, subsequent_indent="    ", break_on_hyphens=False)
    rows = [(f"`{_spelled(parameter)}`", _default(parameter), parameter.help or "") for parameter in command.params]
    help_text = re.sub(r"\n\s*", "\n", command.help.strip())
    heading = ("option", "where left out", "what it says")
    parts = [f"## {name}", help_text, "```\n" + " \\\n".join(usage) + "\n```", _table(heading, rows)]
    return "\n\n".join(parts)


def _metavar(parameter: Any) -> str:
    return parameter.name.upper()


def _spelled(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return _metavar(parameter)
    return ", ".join(parameter.opts) + ("" if parameter.is_flag else f" {_metavar(parameter)}")


def _default(parameter: Any) -> str:
    if parameter.required:
        return "needed"
    return "" if parameter.default is None or parameter.is_flag else f"`{parameter.default}`"


def workloads() -> str:
    """A table of the workloads: dataset, metric, full-scale target, variants."""
    rows = []
    for name in registry.base_workloads():
        spec = registry.load_spec(name)
        sign = "<=" if spec.target.goal == "min" else ">="
        variants = ", ".join(f"`{variant}`" for variant in registry.variants(name))
        rows.append((f"`{name}`", spec.dataset, f"{spec.target.metric} {sign} {spec.target.validation:g}", variants))
    return _table(("workload", "dataset", "validation target", "variants"), rows)


def protocols() -> str:
    """A table of the protocols."""
    rows = [
        (
            f"`{protocol.name}`",
            str(len(protocol.workloads)),
            str(len(protocol.held_out)),
            str(protocol.studies),
            str(protocol.trials),
            f"{protocol.self_tuning_factor:g} x",
            protocol.search,
        )
        for protocol in PROTOCOLS.values()
    ]
    heading = (
        "protocol",
        "workloads",
        "held-out variants",
        "studies",
        "trials of a study",
        "budget under self-tuning",
        "points",
    )
    return _table(heading, rows)


def room_table() -> str:
    """A table of the rooms, the first things at the bottom: what each is for, and what it imports."""
    graph = rooms.arrows()
    level = rooms.floors(graph)
    described = sorted((room for room in graph if rooms.sentence(room)), key=lambda room: (-level[room], room))
    rows = [
        (f"`{room}/`", rooms.sentence(room), ", ".join(f"`{target}`" for target in sorted(graph[room])))
        for room in described
    ]
    return _table(("room", "what it is for", "imports"), rows)


def other_pages() -> str:
    """The pages of this folder that the index does not name, so that a new one is not lost."""
    index = (DOCS / "index.md").read_text().splitlines()
    others = [path.stem for path in sorted(DOCS.glob("*.md")) if path.stem not in index and path.stem != "index"]
    return (
        "\n".join(["```{toctree}", ":caption: More", ":maxdepth: 1", ":hidden:", "", *others, "```"]) if others else ""
    )


GENERATED = {
    "config_keys": config_keys,
    "commands": commands,
    "workloads": workloads,
    "protocols": protocols,
    "rooms": room_table,
    "other_pages": other_pages,
}
