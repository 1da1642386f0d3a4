"""Finding, loading and checking submissions."""

import dataclasses
import json
import py_compile
import shutil

import pytest

from algoperf.benchmark.facts import FRAMEWORKS, UsageError
from algoperf.benchmark.identity import make_trial, short_name
from algoperf.benchmark.protocol import load_protocol
from algoperf.benchmark.registry import load_spec
from algoperf.submission import loading, new
from algoperf.submission.points import hyperparameter_points
from algoperf.trial.setup import set_up
from tests.submission.conftest import FUNCTIONS


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    "name", sorted(path.name for path in loading.SUBMISSIONS.iterdir() if (path / "jax.py").exists())
)
def test_every_baseline_loads_and_has_its_points(name, framework):
    path = loading.find(name, framework)
    loaded = loading.load(path)
    assert loaded.batch_size(load_spec("criteo1tb")) == 262_144
    assert loaded.batch_size(load_spec("imagenet_resnet_silu")) == 512
    assert loaded.batch_size(load_spec("imagenet_resnet_large_bn_init")) == 1_024
    has_its_points = (path.parent / "points.json").exists()
    found = hyperparameter_points(path, load_protocol("v0.6"), "external", "criteo1tb")
    assert len(found) == (1 if has_its_points else 5)


def test_five_functions_in_a_file(folder):
    loaded = loading.load(loading.find(str(folder), "jax"))
    assert loaded.prepare_for_eval is None
    assert not loaded.takes_train_state
    assert loaded.batch_size(load_spec("criteo1tb_layernorm")) == 512
    assert short_name(str(folder)) == short_name(str(folder / "submission.py")) == "mine"


def test_train_state_is_passed_where_the_signature_has_it(folder):
    source = FUNCTIONS.replace("current_param_container, **rest", "current_param_container, train_state, **rest")
    (folder / "submission.py").write_text(source + "def prepare_for_eval(**rest): pass\n")
    loaded = loading.load(folder / "submission.py")
    assert loaded.takes_train_state
    assert loaded.prepare_for_eval is not None


def test_modules_beside_a_submission_can_be_imported(folder):
    (folder / "helper_of_mine.py").write_text("SIZE = 7")
    source = "from helper_of_mine import SIZE\n" + FUNCTIONS.replace('{"criteo1tb": 512}[workload_name]', "SIZE")
    (folder / "submission.py").write_text(source)
    assert loading.load(folder / "submission.py").batch_size(load_spec("wmt")) == 7


def test_compiled_code_beside_a_submission_is_not_what_runs(folder):
    """It is no part of the content that a result names, and may be of any source: of an older one, or never checked."""
    for name in ("submission.py", "helper.py"):
        file = folder / name
        file.write_text(f"{FUNCTIONS if name == 'submission.py' else ''}\nWHAT = 'compiled'\n")
        py_compile.compile(str(file), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        file.write_text(file.read_text().replace("compiled", "written"))
    (folder / "submission.py").write_text("import helper\n" + (folder / "submission.py").read_text())
    found = loading.load(folder / "submission.py").update_params.__globals__
    assert (found["WHAT"], found["helper"].WHAT) == ("written", "written")
    assert len(list(folder.rglob("*.pyc"))) == 2


@pytest.mark.parametrize("module", ["hidden", "inside.hidden"])
def test_compiled_code_without_a_source_is_refused(folder, module):
    """Which Python finds where the submission has put its folder on `sys.path`."""
    source = folder.joinpath(*module.split(".")).with_suffix(".py")
    source.parent.mkdir(exist_ok=True)
    source.write_text("raise AssertionError('it runs')")
    py_compile.compile(str(source), cfile=str(source.with_suffix(".pyc")))
    source.unlink()
    text = f"import os, sys\nsys.path.insert(0, os.path.dirname(__file__))\nimport {module}\n{FUNCTIONS}"
    (folder / "submission.py").write_text(text)
    with pytest.raises(UsageError, match=r"hidden\.pyc is compiled code, which is no part of a submission's content"):
        loading.load(folder / "submission.py")


def test_the_mini_scale_divides_the_batch_size(folder):
    loaded = loading.load(folder / "submission.py")
    mini = load_spec("criteo1tb", "mini")
    assert loaded.batch_size(mini) == 512 // mini.batch_divisor
    assert loaded.batch_size(dataclasses.replace(mini, batch_divisor=10_000)) == 1


@pytest.mark.parametrize("missing", ["get_batch_size", "init_optimizer_state", "update_params", "data_selection"])
def test_a_missing_function_is_named(folder, missing):
    (folder / "submission.py").write_text(FUNCTIONS.replace(f"def {missing}", "def other"))
    with pytest.raises(UsageError, match=f"has no {missing}"):
        loading.load(folder / "submission.py")


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("1 +", "SyntaxError"),
        ("import no_such_module", r"imports 'no_such_module', which is neither installed .*requirements\.txt"),
        ("import numpy.no_such_module", r"imports 'numpy\.no_such_module'"),
        ("from numpy import no_such_name", "ImportError: cannot import name 'no_such_name'"),
    ],
)
def test_what_cannot_be_imported_is_named(folder, source, names):
    (folder / "submission.py").write_text(source)
    with pytest.raises(UsageError, match=names):
        loading.load(folder / "submission.py")


def test_requirements_are_looked_at_before_the_file_is_imported(folder):
    (folder / "requirements.txt").write_text("no-such-package\n")
    (folder / "submission.py").write_text("raise ValueError")
    with pytest.raises(UsageError, match=r"requires no-such-package \(not installed\): run `python -m pip"):
        loading.load(folder / "submission.py")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UsageError, match=r"'sgdx' for jax; it must be one of .*, nadamw, nesterov"):
        loading.find("sgdx", "jax")
    with pytest.raises(UsageError, match="'tensorflow'"):
        loading.find("nadamw", "tensorflow")
    with pytest.raises(UsageError, match="no/such/folder"):
        loading.find("no/such/folder", "jax")


def loaded(folder, init):
    source = FUNCTIONS.replace("rng): return {}", f"rng):\n    {init}")
    (folder / "submission.py").write_text(source)
    return loading.load(folder / "submission.py")


def test_a_hyperparameter_that_the_point_lacks_is_named(folder):
    def begin(point, init="return hyperparameters.lr"):
        return loaded(folder, init).begin(None, None, None, point, None)

    assert begin({"lr": 3}) == 3
    with pytest.raises(UsageError, match=r"reads the hyperparameter 'lr', which its point lacks; the point has rate"):
        begin({"rate": 3})
    assert begin({"rate": 3}, 'return getattr(hyperparameters, "lr", 7)') == 7
    assert begin({}, "return hyperparameters") is None
    with pytest.raises(AttributeError, match="no attribute 'lr'"):  # its own mistake
        begin({"rate": 3}, "return model_params.lr")


def test_a_hyperparameter_that_no_code_mentions_is_refused(folder):
    mine = loaded(folder, 'return hyperparameters.my_rate, getattr(hyperparameters, "my_decay", 0.0)')
    mine.check_point({"my_rate": 1, "my_decay": 1})
    mine.check_point({})
    mine.check_point({"my_rate": 1, "beta2": 0.9})  # that of another algorithm, as published search spaces have it
    with pytest.raises(
        UsageError, match="does not know the hyperparameter 'my_dekay': its code does not have the name"
    ):
        mine.check_point({"my_rate": 1, "my_dekay": 1})
    with pytest.raises(UsageError, match="'init_optimizer_state_'"):
        mine.check_point({"init_optimizer_state_": 1})
    (folder / "helper_that_reads.py").write_text("def read(point): return point.my_dekay")
    mine.check_point({"my_dekay": 1})


def test_code_that_takes_all_hyperparameters_knows_any(folder):
    loaded(folder, "return dict(**hyperparameters._asdict())").check_point({"anything": 1})


def test_modules_in_a_package_beside_a_submission_are_looked_at(folder):
    package = folder / "package_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("def read(point): return point.from_inside")
    mine = loaded(folder, "from package_of_mine import inner")
    mine.check_point({"from_inside": 1})
    (package / "deeper").mkdir()
    (package / "deeper" / "deepest.py").write_text("def read(point): return point.from_deep_inside")
    with pytest.raises(UsageError, match="'from_deep_inside'"):
        mine.check_point({"from_deep_inside": 1})
    mine = loaded(folder, "return 1\nfrom package_of_mine.deeper import deepest")
    mine.check_point({"from_deep_inside": 1})  # it is imported


def trial(out, data_dir, framework, folder):
    options = {"workload": "criteo1tb", "framework": framework, "submission": folder, "protocol": "mini"}
    options |= {"ruleset": "external", "study": 0, "trial": 1, "data-dir": data_dir, "out": out}
    return ["trial", *(word for name, value in options.items() for word in (f"--{name}", value))]


def template(folder, framework, **changed):
    """The template with other hyperparameters in its search space; None takes one away."""
    folder.mkdir()
    shutil.copyfile(new.TEMPLATE / f"{framework}.py", folder / f"{framework}.py")
    space = json.loads((new.TEMPLATE / "search_space.json").read_text()) | changed
    space = {name: dimension for name, dimension in space.items() if dimension is not None}
    (folder / "search_space.json").write_text(json.dumps(space))
    return folder


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"weight_dekay": {"feasible_points": [0.1]}}, "does not know the hyperparameter 'weight_dekay'"),
        ({"learning_rate": {"min": 2, "max": 1}}, "is an empty range: its min 2 is above its max 1"),
        ({"learning_rate": {"min": 1, "max": 2, "scale": "log"}}, "unknown key 'scale'"),
    ],
)
def test_a_trial_with_bad_hyperparameters_ends_with_code_2(changed, says, framework, tmp_path, data_dir, algoperf):
    mine = template(tmp_path / "mine", framework, **changed)
    code, _, error = algoperf(*trial(tmp_path / "new" / "out", data_dir, framework, mine))
    assert (code, error.count("\n")) == (2, 1)
    assert says in error
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_trial_of_the_kit_with_bad_hyperparameters_ends_with_code_2(framework, tmp_path, data_dir, algoperf):
    """`dropout` for `dropout_rate`, which would be left out silently; and one that its optimizer cannot do without."""
    source = loading.SUBMISSIONS / "nadamw"
    mine = tmp_path / "mine"
    mine.mkdir()
    shutil.copyfile(source / f"{framework}.py", mine / f"{framework}.py")
    point = json.loads((source / "self_tuning.json").read_text())
    slips = {
        "does not know the hyperparameter 'dropout'": {**point, "dropout": 0.1},
        "reads the hyperparameter 'beta2', which its point lacks": {k: v for k, v in point.items() if k != "beta2"},
    }
    for says, slip in slips.items():
        (mine / "search_space.json").write_text(json.dumps([slip]))
        code, _, error = algoperf(*trial(tmp_path / "out", data_dir, framework, mine))
        assert (code, error.count("\n")) == (2, 1)
        assert says in error
        assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_trial_whose_dependency_is_missing_ends_with_code_2(tmp_path, data_dir, algoperf):
    mine = template(tmp_path / "mine", "pytorch")
    source = (mine / "pytorch.py").read_text()
    (mine / "pytorch.py").write_text(f"import no_such_module\n{source}")
    for requirements, says in (
        ("", "imports 'no_such_module', which is"),
        ("no-such==1", "no-such==1 (not installed)"),
    ):
        (mine / "requirements.txt").write_text(requirements)
        code, _, error = algoperf(*trial(tmp_path / "out", data_dir, "pytorch", mine))
        assert (code, error.count("\n")) == (2, 1)
        assert says in error
        assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_what_a_description_says_and_where_the_points_are_go_on_the_command_line(tmp_path, data_dir, algoperf):
    mine = template(tmp_path / "mine", "jax")
    (mine / "search_space.json").rename(tmp_path / "space.json")
    (mine / "submission_info.yml").write_text("framework: JAX\nruleset: external")
    (mine / "requirements.txt").write_text("numpy==0.1")
    words = ["trial", "--workload", "criteo1tb", "--submission", mine, "--protocol", "mini", "--study", "0"]
    words += ["--trial", "1", "--data-dir", data_dir, "--out", tmp_path / "new" / "out"]
    code, _, error = algoperf(*words)
    assert (code, error.count("\n")) == (2, 1)
    assert "has no search_space.json, which external tuning draws its points from: name a file by" in error
    words += ["--search-space", tmp_path / "space.json"]
    code, _, error = algoperf(*words, "--strict-requirements")
    assert (code, error.count("\n")) == (2, 1)
    assert "requires numpy==0.1 (" in error
    code, _, error = algoperf(*words, "--ruleset", "self")
    assert (code, "--search-space is for external tuning" in error) == (2, True)
    code, _, error = algoperf(*words, "--search", "halton")
    assert (code, "there is no search 'halton'; a search is shared or dealt." in error) == (2, True)
    code, _, error = algoperf("trial", "--dry-run", "--submission", "nadamw")
    assert (code, "a dry run needs --framework, jax or pytorch" in error) == (2, True)
    identity = make_trial("mini", "external", str(mine), "jax", "criteo1tb", 0, 1)
    made = set_up(identity, tmp_path / "out", data_dir, search_space=tmp_path / "space.json")
    (flag,) = made.referee.flags
    assert flag.rule == "requirements"
    assert flag.what.startswith("requirements.txt asks for numpy==0.1, and ")
    assert made.point
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "space.json"]
