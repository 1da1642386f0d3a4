"""The Snakemake workflow: what it plans, what it reruns, and that a real small experiment runs through it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY

BIN = Path(sys.executable).parent


def snakemake(*arguments, directory=REPOSITORY):
    command = [
        BIN / "snakemake",
        "--snakefile",
        REPOSITORY / "Snakefile",
        "--profile",
        REPOSITORY / "profiles" / "local",
    ]
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    return subprocess.run(
        [*command, "--directory", directory, *arguments],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env=env,
        check=False,
    )


def counts(found):
    """Jobs by rule, of a dry run."""
    assert found.returncode == 0, found.stderr
    lines = (line.split() for line in (found.stdout + found.stderr).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}


def test_the_full_benchmark_is_planned_without_running_it(tmp_path):
    found = counts(snakemake("--configfile", REPOSITORY / "config" / "full.yaml", "-n", directory=tmp_path))
    assert found["trial_wmt"] == found["trial_criteo1tb"] == 60
    assert found["data_imagenet"] == 1
    assert found["total"] == 480 + 6 + 2


@pytest.mark.parametrize(
    ("key", "names"), [("protocl=mini", "unknown key 'protocl'"), ("accelerator=[1]", "'accelerator'")]
)
def test_a_wrong_config_ends_with_one_sentence_and_exit_code_2(tmp_path, key, names):
    found = snakemake("-n", "--config", key, directory=tmp_path)
    assert found.returncode == 2
    assert names in found.stderr
    assert "Traceback" not in found.stderr


@pytest.fixture(scope="module")
def experiment(tmp_path_factory, data_dir):
    """Two contestants of one workload, run to the end by the real workflow; the submission stops after two steps."""
    folder = tmp_path_factory.mktemp("experiment")
    for label in ("quick", "fast"):
        (folder / label).mkdir()
        source = (REPOSITORY / "submissions" / "nadamw" / "pytorch.py").read_text()
        source += STOPS_AFTER_TWO_STEPS
        (folder / label / "pytorch.py").write_text(source)
        shutil.copy(REPOSITORY / "submissions" / "nadamw" / "search_space.json", folder / label)
    config = {
        "protocol": "mini",
        "submissions": [{"name": str(folder / label), "framework": "pytorch"} for label in ("quick", "fast")],
        "workloads": ["criteo1tb"],
        "data_dir": str(data_dir),
        "results_dir": str(folder / "results"),
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    run = snakemake("score", "--configfile", folder / "config.yaml", directory=folder)
    assert run.returncode == 0, run.stderr
    return folder


STOPS_AFTER_TWO_STEPS = """
import dataclasses
from algoperf.spec import TrainingCompleteError

class Short(TorchSubmission):
    def update_params(self, **arguments):
        if arguments["global_step"] == 2:
            raise TrainingCompleteError
        return super().update_params(**arguments)

submission = Short(optimizer, BATCH_SIZES)
"""


def again(experiment, *arguments):
    return snakemake("--configfile", experiment / "config.yaml", "-n", *arguments, directory=experiment)


def test_an_experiment_ends_in_scores_and_a_report(experiment):
    scores = experiment / "results" / "mini" / "scores" / "external"
    assert {"scores.csv", "profile.svg", "profile.png", "report.html", "leaderboard.txt"} <= {
        p.name for p in scores.iterdir()
    }
    results = sorted((experiment / "results").glob("mini/external/*/study_0/criteo1tb_pytorch/trial_*/result.json"))
    assert len(results) == 4
    assert {json.loads(path.read_text())["status"] for path in results} == {"budget_exhausted"}


def test_a_finished_experiment_has_nothing_to_do(experiment):
    assert "Nothing to be done" in again(experiment).stdout + again(experiment).stderr


def test_an_edited_comment_or_touched_data_reruns_nothing(experiment, data_dir):
    path = experiment / "quick" / "pytorch.py"
    path.write_text(path.read_text() + "# a comment\n")
    os.utime(data_dir / "nyc_flights" / "manifest.json")
    found = again(experiment)
    assert "Nothing to be done" in found.stdout + found.stderr


def test_a_removed_trial_is_run_again_alone(experiment):
    victim = (
        experiment / "results" / "mini" / "external" / "quick_pytorch" / "study_0" / "criteo1tb_pytorch" / "trial_2"
    )
    shutil.rmtree(victim)
    assert counts(again(experiment)) == {"trial_criteo1tb": 1, "score_ruleset": 1, "score": 1, "total": 3}
    run = snakemake("score", "--configfile", experiment / "config.yaml", directory=experiment)
    assert run.returncode == 0, run.stderr
    assert (victim / "result.json").exists()


def test_another_hyperparameter_makes_it_another_trial(experiment):
    path = experiment / "fast" / "search_space.json"
    before = path.read_text()
    path.write_text(before.replace("1e-2", "2e-2"))
    assert counts(again(experiment))["trial_criteo1tb"] == 2
    path.write_text(before)


def test_what_there_is_can_be_ranked_while_the_rest_is_missing(experiment):
    victim = experiment / "results" / "mini" / "external" / "fast_pytorch"
    victim.rename(experiment / "aside")
    run = snakemake("partial_score", "--configfile", experiment / "config.yaml", directory=experiment)
    (experiment / "aside").rename(victim)
    assert run.returncode == 0, run.stderr
    scores = (experiment / "results" / "mini" / "scores" / "external_partial" / "scores.csv").read_text()
    assert "quick_pytorch" in scores
    assert "fast_pytorch" not in scores
