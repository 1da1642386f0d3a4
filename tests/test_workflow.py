"""The Snakemake workflow: what it plans, what it reruns, and that a real small experiment runs through it."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import pytest
import yaml

from algoperf import workflow
from algoperf.machine import cluster, lock
from algoperf.records import official_files
from algoperf.records.atomic import write_json
from tests.conftest import REPOSITORY
from tests.support import own_submissions
from tests.support.patience import wait_until

BIN = Path(sys.executable).parent


def start(*arguments, directory=REPOSITORY):
    """In a session of its own, so that a test can end all of its processes, and only those."""
    command = [
        BIN / "snakemake",
        "--snakefile",
        REPOSITORY / "Snakefile",
        "--profile",
        REPOSITORY / "profiles" / "local",
    ]
    return subprocess.Popen(
        [*command, "--directory", directory, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        start_new_session=True,
    )


def snakemake(*arguments, directory=REPOSITORY):
    process = start(*arguments, directory=directory)
    stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def counts(found):
    """Jobs by rule, of a run or a dry run."""
    assert found.returncode == 0, found.stderr
    lines = (line.split() for line in (found.stdout + found.stderr).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}


def test_the_full_benchmark_is_planned_without_running_it(tmp_path):
    found = counts(snakemake("--configfile", REPOSITORY / "config" / "full.yaml", "-n", directory=tmp_path))
    assert found["trial_wmt"] == found["trial_criteo1tb"] == 60
    assert found["data_imagenet"] == 1
    assert found["total"] == 540 + 7 + 2


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("protocl=mini", "unknown key 'protocl'"),
        pytest.param("accelerator=[1]", "'accelerator'", marks=pytest.mark.landing("configs that Snakemake reads")),
    ],
)
def test_a_wrong_config_ends_with_one_sentence_and_exit_code_2(tmp_path, key, names):
    found = snakemake("-n", "--config", key, directory=tmp_path)
    assert found.returncode == 2
    assert names in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param(  # mini.yaml has what is missed
            "protocol: v0.5\n", "'submissions'", marks=pytest.mark.landing("configs that Snakemake reads")
        ),
        (
            "protocol: mini\nsubmissions: [{name: nadamw, framework: jax}]\nprotocol: v0.5\n",
            "'protocol' is there twice",
        ),
    ],
)
def test_a_config_is_what_its_file_says(tmp_path, text, names):
    (tmp_path / "config.yaml").write_text(text)
    found = snakemake("-n", "--configfile", tmp_path / "config.yaml", directory=tmp_path)
    assert found.returncode == 2
    assert names in found.stderr
    assert "Traceback" not in found.stderr


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Reads an experiment on a site of its own: the accelerators are given, and what its config says beside them."""
    monkeypatch.setenv(cluster.FILE_VARIABLE, str(tmp_path / "site.yaml"))

    def read(accelerators, **changes):
        (tmp_path / "site.yaml").write_text(yaml.safe_dump({"accelerators": accelerators}))
        content = {
            "protocol": "v0.6",
            "submissions": [{"name": "nadamw", "framework": "jax"}],
            "workloads": ["fastmri"],
        }
        return workflow.read({**content, "results_dir": str(tmp_path / "results"), **changes})

    return read


def test_an_accelerator_that_the_site_does_not_explain_is_one_sentence_and_exit_code_2(read, capsys):
    with pytest.raises(SystemExit) as end:
        read({"a100": {}}, accelerator="v100")
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "does not say what the accelerator 'v100' is; it knows local, a100" in said


def test_the_results_folder_is_a_wildcard_that_only_it_fits(read, tmp_path):
    """Whatever characters are in its name."""
    folder = tmp_path / "results (1)+"
    experiment = read({}, results_dir=str(folder))
    assert re.fullmatch(experiment.results_constraint, str(folder))
    assert not re.fullmatch(experiment.results_constraint, f"{tmp_path}/results 1")
    first = experiment.trials[0]
    names = ("ruleset", "label", "study", "framework", "trial")
    wildcards = {name: getattr(first, name) for name in names}
    path = experiment.result_pattern("fastmri").format(results=folder, **wildcards)
    assert path in experiment.results("external")


@pytest.mark.parametrize(
    ("result", "is_forced", "sentence"),
    [
        (None, False, ""),
        (
            {"status": "reached"},
            False,
            "nadamw_jax has results that do not say of which code they are: an earlier version",
        ),
        ({"status": "reached", "seed": 1}, True, "nadamw_jax has results of another seed (1, now "),
        ({"status": "pruned", "charged_time": 3.0}, True, "nadamw_jax has trials that racing had ended: they go on."),
        ("half a re", False, ""),  # the trial says so itself
    ],
)
def test_a_result_is_taken_for_what_it_says_of_itself(read, capsys, result, is_forced, sentence):
    experiment = read({})
    dag = types.SimpleNamespace(forcefiles=set())
    trial = experiment.trials[0]
    path = Path(experiment.results("external")[0])
    if result is not None:
        path.parent.mkdir(parents=True)
        path.write_text(result if isinstance(result, str) else json.dumps(result))
    for _ in range(2):  # it is said once
        experiment.remade_trial(dag, "fastmri", types.SimpleNamespace(**dataclasses.asdict(trial)))
    assert dag.forcefiles == ({str(path)} if is_forced else set())
    said = capsys.readouterr().err.splitlines()
    assert len(said) == bool(sentence)
    assert "".join(said).startswith(sentence)


def test_trials_are_told_what_they_race_with(read, tmp_path):
    assert "--racing" not in read({}).place
    plan = tmp_path / "results" / "v0.6" / "plan.json"
    assert f"--racing scores --plan {plan}" in read({}, racing="scores").place


def test_a_best_point_of_another_search_is_looked_for_again(read):
    of = {"protocol": "mini", "submissions": [{"name": "nadamw", "framework": "pytorch"}], "workloads": ["criteo1tb"]}
    experiment = read({}, **of, target_setting={"points": 2})
    dag = types.SimpleNamespace(forcefiles=set())
    path = Path(experiment.best_point("criteo1tb"))
    assert experiment.remade_best_point(dag, "criteo1tb") == []
    path.parent.mkdir(parents=True)
    points = json.loads((REPOSITORY / "submissions" / "nadamw" / "search_space.mini.json").read_text())
    search = [
        {"submission": "nadamw_pytorch", "trial": number, "hyperparameters": point}
        for number, point in enumerate(points[:2], 1)
    ]
    for found, is_current in ((search, True), (search[:1], False), ([], False), (None, False)):
        write_json(path, {"search": found})
        dag.forcefiles.clear()
        experiment.remade_best_point(dag, "criteo1tb")
        assert (dag.forcefiles == set()) == is_current


def test_a_partial_score_is_of_the_trials_that_there_are_and_says_how_many(read):
    whole = read({}, rulesets=["external", "self"])
    partial = read({}, rulesets=["external", "self"], partial=True)
    planned = len(whole.results("external"))
    assert len(whole.results()) == planned + len(whole.results("self"))
    assert (whole.partial("external"), partial.results()) == ([], [])
    for path in (whole.results("external")[3], whole.results("self")[0]):
        Path(path).parent.mkdir(parents=True)
        write_json(Path(path), {})
    assert partial.results() == [whole.results("external")[3], whole.results("self")[0]]
    assert partial.results("external") == whole.results("external")[3:4]
    assert partial.partial("external") == ["--partial", f"1 of {planned} trials"]
    assert whole.partial("external") == []
    assert partial.scores("external") != whole.scores("external")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory, data_dir):
    """Two contestants of one workload, run to the end by the real workflow; the submission stops after two steps."""
    folder = tmp_path_factory.mktemp("experiment")
    for label in ("quick", "fast"):
        own_submissions.write_two_steps(folder / label)
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


def again(experiment, *arguments):
    return snakemake("--configfile", experiment / "config.yaml", "-n", *arguments, directory=experiment)


def test_an_experiment_ends_in_scores_and_a_report(experiment):
    scores = experiment / "results" / "mini" / "scores" / "external"
    assert {"scores.csv", "profile.svg", "profile.png", "report.html", "leaderboard.txt"} <= {
        p.name for p in scores.iterdir()
    }
    results = sorted((experiment / "results").glob("mini/external/*/study_0/criteo1tb_pytorch/trial_*/result.json"))
    assert len(results) == 2
    assert {json.loads(path.read_text())["status"] for path in results} == {"budget_exhausted"}


@pytest.mark.landing("workflows that are run whole")
def test_snakemakes_own_report_shows_the_scoring_with_captions(experiment):
    made = snakemake(
        "--configfile", experiment / "config.yaml", "--report", experiment / "report.zip", directory=experiment
    )
    assert made.returncode == 0, made.stderr
    with zipfile.ZipFile(experiment / "report.zip") as files:
        assert {"report.html", "profile.svg", "scores.csv"} <= {name.rpartition("/")[2] for name in files.namelist()}
        page = files.read("report/report.html").decode("utf-8")
    for words in ("The leaderboard under external tuning", "protocol mini", "external tuning"):
        assert words in page


def test_a_finished_experiment_has_nothing_to_do(experiment):
    found = again(experiment)
    assert "Nothing to be done" in found.stdout + found.stderr


def test_an_edited_comment_or_touched_data_reruns_nothing(experiment, data_dir):
    path = experiment / "quick" / "submission.py"
    path.write_text(path.read_text() + "# a comment\n")
    os.utime(data_dir / "nyc_flights" / "manifest.json")
    found = again(experiment)
    assert "Nothing to be done" in found.stdout + found.stderr


def trial_of(experiment, label):
    path = Path("results", "mini", "external", f"{label}_pytorch", "study_0", "criteo1tb_pytorch", "trial_1")
    return experiment / path


def test_an_edited_trial_is_run_again_from_any_folder_and_what_was_set_aside_is_found_again(experiment, tmp_path):
    """Where Snakemake has no record of how a result was made, what the result says of itself counts."""
    result = trial_of(experiment, "fast") / official_files.RESULT
    before = result.read_bytes()
    foreign = experiment / "results" / "mini" / "external" / "foreign_pytorch"  # logs without a result.json
    shutil.copytree(experiment / "results" / "mini" / "external" / "quick_pytorch", foreign)
    for path in foreign.rglob("result.json"):
        path.unlink()
    space = experiment / "fast" / "search_space.json"
    text = space.read_text()
    space.write_text(text.replace("0.01", "0.02"))
    arguments = ("--configfile", experiment / "config.yaml")
    run = snakemake("score", *arguments, directory=tmp_path)
    assert counts(run) == {"trial_criteo1tb": 1, "score_ruleset": 1, "score": 1, "total": 3}
    assert "fast_pytorch has results of other hyperparameters (learning_rate " in run.stderr
    edited = json.loads(result.read_bytes())
    assert edited["hyperparameters"] != json.loads(before)["hyperparameters"]
    assert edited["submission_sha256"] == json.loads(before)["submission_sha256"]
    scores = experiment / "results" / "mini" / "scores" / "external"
    assert "foreign_pytorch" not in (scores / "scores.csv").read_text()
    assert "foreign_pytorch,no part of this experiment,not ranked" in (scores / "data_quality.csv").read_text()
    shutil.rmtree(foreign)
    space.write_text(text)
    run = snakemake("score", *arguments, directory=experiment)
    assert run.returncode == 0, run.stderr
    assert result.read_bytes() == before
    found = snakemake(*arguments, "-n", directory=tmp_path)
    assert "Nothing to be done" in found.stdout + found.stderr


@pytest.mark.landing("workflows that are run whole")
def test_a_label_that_is_pointed_elsewhere_is_what_lies_there(experiment, tmp_path):
    copied = tmp_path / "copied" / "fast"
    shutil.copytree(experiment / "fast", copied)
    content = yaml.safe_load((experiment / "config.yaml").read_text())
    content["submissions"][1]["name"] = str(copied)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    arguments = ("--configfile", tmp_path / "config.yaml", "-n")
    same = snakemake(*arguments, directory=experiment)
    assert "Nothing to be done" in same.stdout + same.stderr
    (copied / "submission.py").write_text("this is no code\n")
    other = snakemake(*arguments, directory=tmp_path)
    assert counts(other)["trial_criteo1tb"] == 1
    assert "another content of the submission (" in other.stderr


@pytest.mark.landing("workflows that are run whole")
def test_a_leaderboard_of_fewer_submissions_is_another(experiment, tmp_path):
    content = yaml.safe_load((experiment / "config.yaml").read_text())
    content["submissions"] = content["submissions"][:1]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    found = snakemake("--configfile", tmp_path / "config.yaml", "-n", directory=tmp_path)
    assert counts(found) == {"score_ruleset": 1, "score": 1, "total": 2}


def test_a_trial_that_failed_is_listed_with_its_reason_and_log_and_no_score_is_made(experiment):
    victim = trial_of(experiment, "quick")
    victim.rename(experiment / "aside")
    scores = experiment / "results" / "mini" / "scores"
    scores.rename(experiment / "old_scores")
    (victim / "hparams.json").mkdir(parents=True)  # where a file must be
    run = snakemake("score", "--configfile", experiment / "config.yaml", directory=experiment)
    assert run.returncode == 1
    assert not scores.exists()
    (experiment / "old_scores").rename(scores)
    error = (victim / "error.log").read_text().splitlines()[-1]
    assert error.startswith("IsADirectoryError")
    shutil.rmtree(victim)
    (experiment / "aside").rename(victim)
    listed = run.stderr[run.stderr.index("failed: mini/external/quick_pytorch") :].splitlines()
    assert listed[0].endswith("/trial_1")
    assert listed[1].strip() == f"{error} ({victim / 'error.log'})"
    assert listed[2].startswith("1 of 2 trials have failed or stopped and 1 have no result: nothing is made of them.")


def test_a_second_run_is_refused_and_a_killed_one_leaves_no_lock_in_the_way(experiment):
    victim = trial_of(experiment, "quick")
    shutil.rmtree(victim)
    arguments = ("score", "--configfile", experiment / "config.yaml")
    first = start(*arguments, directory=experiment)
    wait_until((experiment / "results" / lock.LOCK).exists, "lock of the run")
    os.killpg(first.pid, signal.SIGSTOP)
    second = snakemake(*arguments, directory=experiment)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert second.returncode == 1
    assert f"error: {experiment / 'results'} is being written by process {first.pid} on " in second.stderr
    assert "Traceback" not in second.stderr
    third = snakemake(*arguments, directory=experiment)
    assert counts(third) == {"trial_criteo1tb": 1, "score_ruleset": 1, "score": 1, "total": 3}
    assert json.loads((victim / official_files.RESULT).read_text())["status"] == "budget_exhausted"
    assert not (experiment / "results" / lock.LOCK).exists()


def test_what_there_is_can_be_scored_while_the_rest_is_missing(experiment):
    """Beside another run, which has the lock of the results folder and trains."""
    victim = experiment / "results" / "mini" / "external" / "fast_pytorch"
    victim.rename(experiment / "aside")
    whole = experiment / "results" / "mini" / "scores" / "external" / "scores.csv"
    before = whole.stat().st_mtime_ns
    with lock.FolderLock(experiment / "results"):
        # The option's values end at the next option, and the target must not be one of them.
        options = ("--configfile", experiment / "config.yaml", "--config", "partial=true", "--")
        run = snakemake(*options, "score", directory=experiment)
    (experiment / "aside").rename(victim)
    assert run.returncode == 0, run.stderr
    scores = whole.parent.with_name("external_partial")
    assert "quick_pytorch" in (scores / "scores.csv").read_text()
    assert "fast_pytorch" not in (scores / "scores.csv").read_text()
    assert "partial: 1 of 2 trials" in (scores / "leaderboard.txt").read_text()
    assert whole.stat().st_mtime_ns == before


AS_A_MODULE = """
configfile: "config.yaml"

module algoperf:
    snakefile: "{snakefile}"
    config: config
use rule * from algoperf as benchmark_*

onstart:
    algoperf.onstart()
"""


@pytest.mark.landing("workflows that are run whole")
def test_another_workflow_uses_it_as_a_module(experiment, tmp_path):
    """From another folder, with a config and a results folder of its own."""
    content = yaml.safe_load((experiment / "config.yaml").read_text())
    content = {**content, "submissions": content["submissions"][:1], "results_dir": "times"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "Snakefile").write_text(AS_A_MODULE.format(snakefile=REPOSITORY / "Snakefile"))

    def run():
        command = [BIN / "snakemake", "--cores", "1", "benchmark_score"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    with lock.FolderLock(tmp_path / "times"):
        refused = run()
    assert (refused.returncode, "is being written by process" in refused.stderr) == (1, True)
    finished = run()
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "times" / "mini" / "scores" / "external" / "report.html").exists()


@pytest.mark.landing("workflows that are run whole")
def test_what_snakemake_advises_is_done_but_for_what_is_written_down():
    """docs/architecture.md says why no rule names a conda environment or a container."""
    run = subprocess.run([BIN / "snakemake", "--lint"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    advice = {line.strip() for line in (run.stdout + run.stderr).splitlines() if line.startswith("    * ")}
    assert advice == {"* Specify a conda environment or container for each rule.:"}
