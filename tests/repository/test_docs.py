"""The documents: every command is one, every link leads somewhere, every quoted sentence is the code's."""

import ast
import dataclasses
import importlib.util
import re
import shlex
import statistics

import numpy as np
import pytest
import typer
import yaml
from snakemake.cli import get_argument_parser

from algoperf.benchmark.protocol import PROTOCOLS, load_protocol
from algoperf.benchmark.registry import workload_names
from algoperf.commands import cli
from algoperf.experiment import config
from scoring.rules.score import READINGS, integrate, settle
from tests.conftest import REPOSITORY
from tests.support.documents import DOCS, PAGES, blocks, label, read, shown

COMMAND_LINE = typer.main.get_command(cli.app)

# Programs that are not ours; of those that start ours, what comes after it is looked at.
FOREIGN = {".", "apt-get", "git", "mv", "pip", "pre-commit", "sbatch", "tmux", "../envs/jax/bin/pip"}
FOREIGN |= {"../envs/pytorch/bin/pip", "python3.11", "trap", "wait"}
STARTERS = {"exec", "srun", "torchrun"}


def parse_ours(words):
    """Raises what the command line itself raises for words that it refuses; nothing is run."""
    command, words = COMMAND_LINE, list(words)
    while hasattr(command, "commands"):
        assert words, "a command is missing"
        assert words[0] in command.commands, f"there is no command {words[0]}"
        command = command.commands[words.pop(0)]
    if "..." in words:  # the rest is left to the reader
        known = {spelling for parameter in command.params for spelling in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= known
    elif "--help" not in words:
        command.make_context(command.name, list(words))
    if command.name == "trial" and not {"...", "--dry-run"} & set(words):
        assert {f"--{name}" for name in ("workload", "protocol", "ruleset", "study", "trial", "out")} <= set(words)


def parse_snakemake(words):
    """Raises SystemExit for words that Snakemake refuses."""
    arguments = get_argument_parser().parse_args(words)
    for profile in arguments.profile or []:
        assert (REPOSITORY / profile / "profile.yaml").is_file(), profile
    assert set(arguments.targets) <= {"score", "trials", "data", "report", "targets", "rehearsal"}
    for path in arguments.configfile or []:
        assert path.name in ("mine.yaml", "FILE") or (REPOSITORY / path).is_file(), path


@pytest.mark.parametrize(("page", "command"), shown())
def test_every_command_that_is_shown_is_one(page, command):
    words = shlex.split(command.split("|")[0].split(" > ")[0])
    if words[0] in STARTERS:
        assert "algoperf" in words, command
        words = words[words.index("algoperf") :]
    match words:
        case ["algoperf", *rest] | ["python", "-m", "algoperf", *rest]:
            parse_ours(rest)
        case ["snakemake", *rest]:
            parse_snakemake(rest)
        case ["make", *targets]:
            made = re.findall(r"^([a-z-]+|\$\(INSTALLED\)):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
            assert set(targets) <= {*made, ".venv/.installed"}
        case ["python", "-m", "pytest", *rest]:
            assert all((REPOSITORY / word).exists() for word in rest if word.startswith("tests/"))
        case ["python", script, *_]:
            assert (REPOSITORY / script).is_file()
        case [program, *_]:
            assert program in FOREIGN, f"{program}: say in this test what it is"


def test_options_that_are_only_named_exist():
    """In the running text: `--option` of a command of ours, or of one that is named beside it."""
    known = {
        *(
            spelling
            for command in leaves(COMMAND_LINE)
            for parameter in command.params
            for spelling in (*parameter.opts, *parameter.secondary_opts)
        ),
        *(spelling for action in get_argument_parser()._actions for spelling in action.option_strings),
        *("--help", "--source", "--nproc-per-node", "--standalone", "--gpus-per-task", "--ntasks", "--gres"),
        *("--exclusive", "--nv", "--bind", "--signal", "--report", "--tiny"),
        *("--licenses", "--mail-type", "--gpus-per-node", "--array"),
    }
    for page in PAGES:
        text = re.sub(r"```.*?```", "", read(page), flags=re.DOTALL)
        for code in re.findall(r"`([^`]+)`", text):
            found = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", code))
            assert found <= known, (label(page), found - known)


def leaves(command):
    if not hasattr(command, "commands"):
        return [command]
    return [leaf for inner in command.commands.values() for leaf in leaves(inner)]


def slug(heading):
    """The anchor of a heading, as repositories and MyST make it."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"```.*?```", "", read(page), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        linked = page if not path else (page.parent / path)
        assert linked.exists(), f"{label(page)}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            assert anchor in map(slug, headings), f"{label(page)}: {target}"


def test_every_config_that_is_shown_is_one():
    found = [(label(page), block) for page in PAGES for block in blocks(read(page), "yaml") if "protocol:" in block]
    assert len(found) >= 3
    for where, block in found:
        config.parse(yaml.safe_load(block), where)


def sentences():
    """Every text of the code, values in it as `…`."""

    def text(node):
        match node:
            case ast.Constant(value=str()):
                return node.value
            case ast.JoinedStr():
                return "".join(value.value if isinstance(value, ast.Constant) else "…" for value in node.values)
        return None

    for package in ("algoperf", "scoring", "workloads"):
        for path in (REPOSITORY / package).rglob("*.py"):
            yield from filter(None, map(text, ast.walk(ast.parse(path.read_text()))))


def test_every_sentence_of_the_troubleshooting_page_is_said_by_the_code():
    page = (DOCS / "troubleshooting.md").read_text()
    quoted = re.findall(r"^\| (``? ?)(.*?) ?`?` \| ", page, re.MULTILINE)
    quoted = [sentence.replace("\\|", "|") for _, sentence in quoted]
    assert len(quoted) == len(re.findall(r"^\| `", page, re.MULTILINE)) >= 40
    said = set(sentences())
    assert [sentence for sentence in quoted if sentence not in said] == []


def rows(page, heading):
    """The rows of the first table of a page whose heading row is, or begins with, this one; as dictionaries."""
    lines = iter((DOCS / page).read_text().splitlines(keepends=True))
    names = next(cells(line) for line in lines if line.startswith(heading))
    next(lines)
    found = []
    for line in lines:
        if not line.startswith("|"):
            return found
        found.append(dict(zip(names, cells(line), strict=True)))
    return found


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def seconds(text):
    return float("inf") if text == "-" else float(text.replace(",", ""))


def test_the_example_of_scoring_is_computed_by_the_code():
    names, held_out = ("criteo1tb", "fastmri", "ogbg", "wmt"), "ogbg_model_size"
    protocol = dataclasses.replace(load_protocol("v0.5"), workloads=names, held_out=(held_out,))
    columns = "| submission | criteo1tb | fastmri | ogbg | wmt |"
    studies = rows("scoring.md", f"{columns} ogbg_model_size (held out) |")
    times = np.array(
        [
            [statistics.median(map(seconds, text.split(" / "))) for name, text in row.items() if name != "submission"]
            for row in studies
        ]
    )
    for row, found in zip(rows("scoring.md", f"{columns} ogbg_model_size |"), times, strict=True):
        assert [row[name] for name in (*names, held_out)] == [
            f"{time:,.0f}" if np.isfinite(time) else "not reached" for time in found
        ]
    settled = settle(times, protocol)
    for row, ratios in zip(rows("scoring.md", f"{columns}\n"), settled.ratios, strict=True):
        for name, ratio in zip(names, ratios, strict=True):
            if np.isfinite(ratio):
                assert row[name] == f"{ratio:.2f}"
            else:
                assert row[name] in ("held-out missed", "over 4x", "not reached")
    scores = {reading: integrate(settled.ratios, reading) for reading in READINGS}
    order = np.argsort(-scores["as-documented"])
    assert rows("scoring.md", "| rank |") == [
        {
            "rank": str(place),
            "submission": studies[row]["submission"],
            "score": f"{scores['as-documented'][row]:.4f}",
            "as published": f"{scores['as-published'][row]:.4f}",
        }
        for place, row in enumerate(order, 1)
    ]


@pytest.fixture(scope="module")
def generated():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)
        return importlib.import_module("generated")


def test_what_the_site_takes_from_the_code_is_complete(generated):
    keys, protocols, workloads = generated.config_keys(), generated.protocols(), generated.workloads()
    assert all(f"| `{name}` |" in keys for name in config.Config.model_fields)
    assert all(f"`{name}`" in protocols for name in PROTOCOLS)
    assert all(f"`{name}`" in workloads for name in workload_names())
    reference = generated.commands()
    for command in leaves(COMMAND_LINE):
        assert f" {command.name}\n" in reference
        for parameter in command.params:
            assert parameter.help, f"{command.name} does not say what {parameter.name} is"
            assert all(spelling in reference for spelling in parameter.opts if spelling.startswith("--"))


def test_links_out_of_the_site_are_files_to_download(generated):
    page = "[cli](../algoperf/commands/cli.py), [`it`](../README.md), [`kit`](../algoperf/kit), [data](data.md)"
    assert (
        generated.fill(page)
        == "[cli](path:../algoperf/commands/cli.py), [`it`](path:../README.md), `kit`, [data](data.md)"
    )


def test_a_page_asks_for_what_there_is(generated):
    for page in DOCS.glob("*.md"):
        assert "<!-- generated" not in generated.fill(page.read_text())
    with pytest.raises(KeyError, match="weather"):
        generated.fill("<!-- generated: weather -->")


def test_a_new_page_is_in_the_index_even_where_nobody_names_it(generated, tmp_path, monkeypatch):
    (tmp_path / "index.md").write_text("```{toctree}\ndata\n```\n")
    (tmp_path / "data.md").touch()
    monkeypatch.setattr(generated, "DOCS", tmp_path)
    assert generated.other_pages() == ""
    (tmp_path / "weather.md").touch()
    assert generated.other_pages() == "```{toctree}\n:caption: More\n:maxdepth: 1\n:hidden:\n\nweather\n```"
