"""The rooms: what each may import, what it says of itself, and that it is small enough to be looked over."""

import ast
import importlib
import statistics

import pytest

from tests.conftest import REPOSITORY

# Each room -> those that it may import. Written down in the order in which they stand on one another.
_FACTS = ("algoperf/benchmark",)
_WRITTEN = (*_FACTS, "algoperf/records")
_DATASETS = (*_WRITTEN, "workloads/datasets")
_FACES = ("algoperf/jax_sharding_utils", "algoperf/pytorch_utils")
_MACHINE = (*_DATASETS, "algoperf/machine")
_BACKENDS = (*_MACHINE, "algoperf/losses", "workloads/layers", *_FACES)
_REFEREE = (*_MACHINE, "algoperf/submission", "algoperf/backends")
_TRIAL = (*_REFEREE, "algoperf/referee", "algoperf/racing")
_EXPERIMENT = (*_TRIAL, "algoperf/trial", "algoperf/fit")
_PROGRESS = (*_EXPERIMENT, "algoperf/experiment")
_ALL = (*_PROGRESS, "algoperf/dry_run", "algoperf/rehearsal", "algoperf/progress", "algoperf/doctor")
_LOGS = (*_WRITTEN, "scoring/logs")
_RULES = (*_LOGS, "algoperf/racing", "scoring/rules")
_RESULT = (*_RULES, "scoring/certainty")
_SIDES = (*_RESULT, "scoring/result")
_TABLES = (*_SIDES, "scoring/sides")
MAY_IMPORT = {
    **{"algoperf/benchmark": (), "algoperf/losses": (), **dict.fromkeys(_FACES, ())},
    **{"algoperf/spec": _FACTS, "algoperf/records": _FACTS},
    **{"algoperf/imports": _WRITTEN, "algoperf/submission": (*_WRITTEN, "algoperf/imports")},
    **{"algoperf/kit": (*_FACTS, *_FACES), "submissions": (*_FACTS, "algoperf/spec", "algoperf/kit", *_FACES)},
    **{"workloads/*/spec": _FACTS, "workloads/layers": (*_FACTS, *_FACES)},
    "workloads/*/model_*": (*_FACTS, "workloads/*/spec", "workloads/layers"),
    **{"workloads/datasets": _WRITTEN, "workloads/metrics": _DATASETS},
    **{
        "algoperf/machine": _DATASETS,
        "algoperf/backends": _BACKENDS,
        "algoperf/trial": _TRIAL,
        "algoperf/referee": _REFEREE,
        "algoperf/fit": (*_MACHINE, "algoperf/submission"),
        "algoperf/shapes": (*_BACKENDS, "algoperf/backends", "algoperf/submission", "algoperf/fit"),
    },
    **{"algoperf/dry_run": _EXPERIMENT, "algoperf/experiment": _EXPERIMENT, "algoperf/rehearsal": _PROGRESS},
    "algoperf/progress": (*_PROGRESS, "algoperf/rehearsal"),
    **{"algoperf/doctor": (*_PROGRESS, "algoperf/rehearsal", "algoperf/progress"), "algoperf/workflow": _ALL},
    "algoperf/racing": _WRITTEN,
    "algoperf/commands": (*_ALL, "scoring/command", "scoring/tables", "scoring/page", "scoring/mirror"),
    **{"scoring/logs": _WRITTEN, "scoring/published": _LOGS},
    **{"scoring/rules": (*_LOGS, "algoperf/racing"), "scoring/certainty": _RULES},
    **{"scoring/result": _RESULT, "scoring/sides": _SIDES},
    **{"scoring/tables": _TABLES, "scoring/page": (*_TABLES, "scoring/tables")},
    "scoring/mirror": _LOGS,
    "scoring/report": (*_TABLES, "scoring/tables", "scoring/page"),
    "scoring/command": (*_TABLES, "scoring/report"),
}
FRAMEWORKS = {"jax", "flax", "optax", "torch"}
MAY_IMPORT_A_FRAMEWORK = {
    *("algoperf/backends", "algoperf/losses", "algoperf/kit", "algoperf/shapes", *_FACES),
    *("workloads/*/model_*", "workloads/layers", "submissions"),
}
# Lines of a module, and of one that is a model; modules of a room, where each dataset, layer or metric is one.
LINES, LINES_OF_A_MODEL, MODULES = 300, 500, 13
COLLECTIONS = {"workloads/datasets", "workloads/layers", "workloads/metrics", "submissions"}


@pytest.fixture(scope="module")
def rooms():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPOSITORY / "docs")
        return importlib.import_module("rooms")


def parsed(path):
    return ast.parse((REPOSITORY / path).read_text("utf-8"))


def imports(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def test_a_room_imports_what_it_may(rooms):
    graph = rooms.arrows()
    assert graph.keys() == MAY_IMPORT.keys()
    assert {
        room: targets - {*MAY_IMPORT[room]} for room, targets in graph.items() if targets - {*MAY_IMPORT[room]}
    } == {}


def test_the_table_has_no_circle(rooms):
    rooms.floors({room: set(targets) for room, targets in MAY_IMPORT.items()})
    with pytest.raises(ValueError, match="a -> b -> a"):
        rooms.floors({"a": {"b"}, "b": {"a"}})


def test_modules_import_one_another_one_way(rooms):
    rooms.floors({path: {*rooms.imported(path)} - {path} for path in rooms.files()})


def test_only_the_rooms_that_may_import_a_framework_do(rooms):
    for path in rooms.files():
        names = {
            name.partition(".")[0]
            for node in imports(parsed(path))
            for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module])
        }
        assert rooms.room_of(path) in MAY_IMPORT_A_FRAMEWORK or not names & FRAMEWORKS, path


def test_only_commands_and_preparations_import_inside_of_a_function(rooms):
    """So that `--help`, and a trial whose data are prepared, start at once."""
    for path in rooms.files():
        tree = parsed(path)
        inside = set(imports(tree)) - {node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)}
        assert rooms.room_of(path) in ("algoperf/commands", "workloads/datasets") or not inside, path


def test_each_room_says_what_it_is_for(rooms):
    folders = {room for room in rooms.arrows() if (REPOSITORY / room).is_dir()} - {"submissions"}
    assert {room for room in folders if not rooms.sentence(room)} == set()


def test_modules_and_rooms_are_small(rooms):
    files = rooms.files()
    for path in files:
        most = LINES_OF_A_MODEL if rooms.room_of(path) == "workloads/*/model_*" else LINES
        assert (REPOSITORY / path).read_text("utf-8").count("\n") <= most, path
    for room in {rooms.room_of(path) for path in files if len(path.parts) > 2} - COLLECTIONS:
        modules = [path for path in files if rooms.room_of(path) == room and path.name != "__init__.py"]
        assert "*" in room or len(modules) <= MODULES, room


def test_rules_are_short():
    lengths = []
    for path in (REPOSITORY / "rules").glob("*.smk"):
        blocks = path.read_text().split("\nrule ")[1:] + path.read_text().split("\n    rule:\n")[1:]
        lengths += [len([line for line in block.splitlines() if line.strip()]) for block in blocks]
    assert statistics.median(lengths) <= 20


def test_the_picture_is_of_this_code(rooms):
    assert rooms.PICTURE.read_text("utf-8") == rooms.picture(), "python docs/rooms.py draws it anew"


def test_the_way_of_a_trial_leads_through_what_there_is(rooms, monkeypatch):
    monkeypatch.setattr(rooms, "WAY", (("a step", "algoperf/trial/train.py", "def moonwalk"),))
    with pytest.raises(LookupError, match="moonwalk"):
        rooms.picture()
