"""A config becomes trials with folders and seeds that are the same everywhere."""

import pytest

from algoperf import workflow
from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.identity import make_trial
from algoperf.benchmark.protocol import RULESETS
from algoperf.experiment import config, plan
from algoperf.machine import cluster
from algoperf.trial.definition import define
from tests.conftest import REPOSITORY

NADAMW = {"name": "nadamw", "framework": "jax"}


def make(**content):
    return config.parse({"protocol": "mini", "submissions": [NADAMW], **content})


def test_the_mini_benchmark():
    trials = plan.trials(config.load(REPOSITORY / "config" / "mini.yaml"))
    assert len(trials) == 9 * 3
    assert len({trial.folder for trial in trials}) == len(trials)


def test_the_full_benchmark():
    trials = plan.trials(config.load(REPOSITORY / "config" / "full.yaml"))
    assert len(trials) == 9 * 4 * 3 * 5


def test_a_workload_that_v06_does_not_score_is_trained_where_it_is_named():
    assert "finewebedu_lm" not in plan.workloads(make(protocol="v0.6"))
    assert plan.workloads(make(protocol="v0.6", workloads=["finewebedu_lm"])) == ["finewebedu_lm"]


def test_v05_brings_its_held_out_variants_and_its_numbers():
    trials = plan.trials(make(protocol="v0.5", rulesets=["external", "self"]))
    external = [trial for trial in trials if trial.ruleset == "external"]
    assert len(external) == 14 * 5 * 5
    assert len(trials) - len(external) == 14 * 5
    assert "wmt_glu_tanh" in {trial.workload for trial in trials}


def test_variants_are_added_by_name_or_all():
    assert plan.workloads(make(workloads=["criteo1tb"])) == ["criteo1tb"]
    assert plan.workloads(make(workloads=["criteo1tb"], variants=["criteo1tb_resnet"])) == [
        "criteo1tb",
        "criteo1tb_resnet",
    ]
    assert len(plan.workloads(make(variants="all"))) == 8 * 4 + 1
    assert plan.workloads(make(workloads=["criteo1tb_resnet"])) == ["criteo1tb_resnet"]


def test_workloads_on_one_dataset_share_it():
    assert plan.datasets(make(protocol="v0.6"))["imagenet"] == "imagenet_resnet"
    assert len(plan.datasets(make(protocol="v0.6"))) == 6


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"workloads": ["mnist"]}, "'mnist'"),
        ({"protocol": "v0.5", "workloads": ["finewebedu_lm"]}, r"not part of protocol v0\.5"),
        ({"variants": ["criteo1tb_rsnet"]}, "'criteo1tb_rsnet'"),
        ({"submissions": [{"name": "adamwx", "framework": "jax"}]}, r"'adamwx'.*nadamw, nesterov"),
    ],
)
def test_a_config_that_names_what_is_not_there(content, names):
    with pytest.raises(UsageError, match=names):
        plan.trials(make(**content))


def test_points_are_dealt_to_the_studies_or_shared_by_them():
    """By v0.6-a100 as documented, by v0.6 as its published logs have it; self-tuning has one point anyhow."""
    entry = {"name": "nadamw", "framework": "jax"}
    dealt, shared = (
        plan.points(
            make(protocol=name, submissions=[entry], workloads=["wmt"], rulesets=["external", "self"]), RULESETS
        )
        for name in ("v0.6-a100", "v0.6")
    )
    key = "nadamw_jax", "external", "wmt"
    assert shared[*key, 0] == shared[*key, 1] == shared[*key, 2] == dealt[*key, 0]
    all_points = [point for study in range(3) for point in dealt[*key, study]]
    assert len(all_points) == 15
    assert len({tuple(point.items()) for point in all_points}) == 15
    assert dealt["nadamw_jax", "self", "wmt", 0] == dealt["nadamw_jax", "self", "wmt", 2]


def test_a_config_chooses_between_dealt_and_shared_points(tmp_path):
    """What the trials of the workflow compute, and what the command that it runs for them does."""
    for protocol, search, other in (("v0.6", "dealt", "v0.6-a100"), ("v0.6-a100", "shared", "v0.6")):
        asked = make(protocol=protocol, search=search, workloads=["wmt"], rulesets=["external", "self"])
        found = plan.points(asked, RULESETS)
        assert found == plan.points(make(protocol=other, workloads=["wmt"], rulesets=["external", "self"]), RULESETS)
        experiment = workflow.make(asked, cluster.Accelerator())
        assert experiment.submission("nadamw_jax", "external") == ["nadamw", "--search", search]
        assert experiment.submission("nadamw_jax", "self") == "nadamw"
        trial = make_trial(protocol, "external", "nadamw", "jax", "wmt", 1, 2)
        assert define(trial, search=search) == plan.definitions(asked, [trial])[trial]
    space = tmp_path / "listed.json"
    space.write_text('[{"learning_rate": 1}, {"learning_rate": 2}]')
    with pytest.raises(UsageError, match=r"points of nadamw_jax cannot be dealt: they are listed"):
        plan.trials(make(protocol="v0.6", search="dealt", search_space=space))
    assert len(plan.trials(make(protocol="v0.6-a100", search_space=space))) == 9 * 3 * 2
