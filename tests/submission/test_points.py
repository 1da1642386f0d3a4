"""Which hyperparameter points a submission's files give, and how its code reads them."""

import json

import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.protocol import load_protocol
from algoperf.submission import loading
from algoperf.submission.points import MissingHyperparameterError, as_hyperparameters, hyperparameter_points
from tests.submission.conftest import FUNCTIONS


def points(folder, ruleset, protocol="mini"):
    return hyperparameter_points(folder / "submission.py", load_protocol(protocol), ruleset, "wmt")


def test_external_tuning_needs_a_search_space(folder):
    with pytest.raises(UsageError, match=r"has no search_space\.json"):
        points(folder, "external")
    (folder / "tuning_search_space.json").write_text(json.dumps([{"lr": 1}, {"lr": 2}, {"lr": 3}]))
    assert points(folder, "external") == [{"lr": 1}]
    assert len(points(folder, "external", "v0.6")) == 3
    (folder / "search_space.mini.json").write_text(json.dumps([{"lr": 9}]))
    assert points(folder, "external") == [{"lr": 9}]
    assert len(points(folder, "external", "v0.6")) == 3


def test_self_tuning_has_one_point_or_brings_its_own(folder):
    assert points(folder, "self") == [{}]
    (folder / "search_space.json").write_text(json.dumps([{"lr": 1}]))
    with pytest.raises(UsageError, match=r"no self_tuning\.json"):
        points(folder, "self")
    (folder / "self_tuning.json").write_text(json.dumps({"lr": 4}))
    assert points(folder, "self") == [{"lr": 4}]
    (folder / "self_tuning.json").write_text("[1]")
    with pytest.raises(UsageError, match="dictionary"):
        points(folder, "self")


def test_points_may_be_of_workloads(folder):
    (folder / "search_space.json").write_text(json.dumps([{"lr": 1}]))
    (folder / "points.json").write_text(json.dumps({"wmt": {"lr": 5}}))
    assert points(folder, "external", "v0.6") == points(folder, "self") == [{"lr": 5}]
    (folder / "points.json").write_text(json.dumps({"ogbg": {"lr": 5}, "fastmri": {"lr": 6}}))
    with pytest.raises(UsageError, match=r"no point for wmt; it has points for ogbg, fastmri"):
        points(folder, "external")


def test_hyperparameters_have_attributes():
    hyperparameters = as_hyperparameters({"learning_rate": 0.1, "beta2": 0.9})
    assert hyperparameters.learning_rate == 0.1
    assert hyperparameters._asdict() == {"learning_rate": 0.1, "beta2": 0.9}
    assert as_hyperparameters({}) is None


def test_hyperparameters_are_a_plain_named_tuple_that_knows_what_it_lacks():
    hyperparameters = as_hyperparameters({"learning_rate": 0.1, "beta2": 0.9})
    assert type(hyperparameters).__bases__ == (tuple,)  # what JAX and PyTorch take for one
    assert hyperparameters._fields == ("learning_rate", "beta2")
    assert not hasattr(hyperparameters, "grad_clip")
    assert getattr(hyperparameters, "grad_clip", None) is None
    with pytest.raises(MissingHyperparameterError, match="'grad_clip'") as error:
        hyperparameters.grad_clip  # noqa: B018
    assert error.value.name == "grad_clip"


def test_what_a_submission_changes_in_its_hyperparameters_is_not_the_record():
    point = {"betas": [0.9, 0.99], "schedule": {"warmup": 0.1}}
    hyperparameters = as_hyperparameters(point)
    hyperparameters.betas.append(1.0)
    hyperparameters.schedule["warmup"] = 0.5
    assert point == {"betas": [0.9, 0.99], "schedule": {"warmup": 0.1}}


def test_a_named_search_space_goes_before_what_is_beside_the_submission(folder, tmp_path):
    space = tmp_path / "shared.json"
    space.write_text(json.dumps({"hparams": [{"lr": 1}, {"lr": 2}]}))
    (folder / "search_space.json").write_text(json.dumps([{"lr": 3}]))
    (folder / "points.json").write_text(json.dumps({"wmt": {"lr": 4}}))
    (folder / "self_tuning.json").write_text(json.dumps({"lr": 5}))

    def named(ruleset):
        return hyperparameter_points(
            folder / "submission.py", load_protocol("v0.6"), ruleset, "wmt", search_space=space
        )

    assert named("external") == [{"lr": 1}, {"lr": 2}]
    (folder / "points.json").unlink()
    assert named("self") == [{"lr": 5}]
    space.unlink()
    with pytest.raises(UsageError, match=r"the search space .*shared\.json does not exist"):
        named("external")


def test_a_search_space_may_lie_above_the_folder_of_a_framework(folder):
    (folder / "tuning_search_space.json").write_text(json.dumps([{"lr": 1}]))
    (folder / "jax").mkdir()
    assert points(folder / "jax", "external") == [{"lr": 1}]


def test_a_submission_without_any_is_told_what_it_reads(folder):
    def begin(init):
        source = FUNCTIONS.replace("rng): return {}", f"rng):\n    {init}")
        (folder / "submission.py").write_text(source)
        return loading.load(folder / "submission.py").begin(None, None, None, {}, None)

    with pytest.raises(UsageError, match=r"reads the hyperparameter 'lr', but it has neither .* by --search-space"):
        begin("return hyperparameters.lr")
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'lr'"):  # its own mistake
        begin("hyperparameters = 1\n    return workload.lr")
    with pytest.raises(AttributeError, match="'dict' object has no attribute 'lr'"):
        begin("return {}.lr")
