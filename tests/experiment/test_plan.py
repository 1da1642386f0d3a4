"""A config becomes trials with folders and seeds that are the same everywhere."""

import os
import subprocess
import sys

import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.identity import make_trial, seed
from algoperf.experiment import config, plan
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
    assert len(trials) == 8 * 4 * 3 * 5


def test_a_workload_that_v06_does_not_score_is_trained_where_it_is_named():
    assert "finewebedu_lm" not in plan.workloads(make(protocol="v0.6"))
    assert plan.workloads(make(protocol="v0.6", workloads=["finewebedu_lm"])) == ["finewebedu_lm"]


def test_v05_brings_its_held_out_variants_and_its_numbers():
    trials = plan.trials(make(protocol="v0.5", rulesets=["external", "self"]))
    external = [trial for trial in trials if trial.ruleset == "external"]
    assert len(external) == 14 * 5 * 5
    assert len(trials) - len(external) == 14 * 5
    assert "wmt_glu_tanh" in {trial.workload for trial in trials}


def test_a_folder_is_the_official_layout():
    trial = make_trial("mini", "external", "nadamw", "pytorch", "criteo1tb", 0, 2)
    assert str(trial.folder) == "mini/external/nadamw_pytorch/study_0/criteo1tb_pytorch/trial_2"


def test_a_command_line_that_names_what_is_not_there():
    with pytest.raises(UsageError, match=r"framework 'tensorflow'; the frameworks are jax, pytorch\."):
        make_trial("mini", "external", "nadamw", "tensorflow", "criteo1tb", 0, 1)
    with pytest.raises(UsageError, match=r"ruleset 'internal'; the rulesets are external, self, and target_setting"):
        make_trial("mini", "internal", "nadamw", "jax", "criteo1tb", 0, 1)


def test_seeds_are_pinned_and_differ():
    assert seed("mini", "nadamw_jax", "criteo1tb", 0, 1) == 1_581_737_941
    seeds = {
        seed(protocol, label, workload, study, trial)
        for protocol in ("mini", "v0.6")
        for label in ("nadamw_jax", "nesterov_jax")
        for workload in ("criteo1tb", "ogbg")
        for study in range(5)
        for trial in range(1, 6)
    }
    assert len(seeds) == 2 * 2 * 2 * 5 * 5
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_seeds_do_not_depend_on_the_process():
    command = "from algoperf.experiment import plan; print(plan.seed('mini', 'a', 'criteo1tb', 0, 1))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", command],
            env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in (1, 2)
    }
    assert len(printed) == 1


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
        ({"protocl": 1}, r"'protocl'.*protocol, rulesets"),
        ({"protocol": "v7"}, r"'protocol'.*'v0\.5', 'v0\.6' or 'mini'"),
        ({"rulesets": ["internal"]}, r"'rulesets\.0'.*'external' or 'self'"),
        ({"rulesets": []}, "rulesets"),
        ({"submissions": []}, "submissions"),
        ({"submissions": [{"name": "nadamw", "framework": "tf"}]}, r"'submissions\.0\.framework'.*'jax' or 'pytorch'"),
        (
            {"submissions": [{"name": "nadamw", "framework": "jax", "gpu": 1}]},
            r"'submissions\.0\.gpu'.*name, framework",
        ),
        ({"submissions": [NADAMW, NADAMW]}, "both called 'nadamw_jax'"),
        ({"variants": "some"}, "variants"),
        ({"accelerator": 8}, "accelerator"),
        ({"partial": "some"}, "partial"),
    ],
)
def test_a_wrong_config_is_one_sentence_that_names_the_key(content, names):
    with pytest.raises(UsageError, match=names) as error:
        make(**content)
    assert "\n" not in str(error.value)


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


def test_the_schema_for_editors_is_that_of_the_config():
    assert (REPOSITORY / "config" / "schema.json").read_text() == config.schema()


@pytest.mark.parametrize(("text", "names"), [("a: [", "not YAML"), (None, "cannot be read")])
def test_a_config_file_that_cannot_be_read(tmp_path, text, names):
    path = tmp_path / "config.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=names):
        config.load(path)
