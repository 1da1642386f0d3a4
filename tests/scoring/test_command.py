"""Own submissions among published ones, and a results folder scored as it stands: what `algoperf score` decides."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scoring.command import score_logs
from scoring.logs.published import PUBLISHED as LEADERBOARDS
from scoring.logs.read import read_logs
from tests.conftest import REPOSITORY
from tests.support.scoring_logs import V05

SAMPLE = REPOSITORY / "tests" / "data" / "scoring" / "logs"
PUBLISHED = "published:v0.5-external"
STUDY = "study_1/fastmri_jax"
V100 = {"kind": "gpu", "name": "Tesla V100-SXM2-16GB", "count": 8, "memory_gib": 16}
FOUR_V100 = {**V100, "count": 4}
A100 = {"kind": "gpu", "name": "NVIDIA A100-SXM4-40GB", "count": 8, "memory_gib": 40}


def results_folder(folder: Path, hardware: dict | None) -> Path:
    """A results folder of ours with one submission: five real trials on this hardware."""
    study = folder / "v0.5" / "external" / "mine_jax" / STUDY
    shutil.copytree(SAMPLE / "baseline" / STUDY, study)
    if hardware is not None:
        for trial in study.iterdir():
            (trial / "result.json").write_text(json.dumps({"status": "reached", "hardware": hardware}))
    return folder


def test_other_hardware_than_that_of_the_published_is_a_caveat(tmp_path: Path):
    """Two machines are compared only where that is asked for; the caveat then names both."""
    results = results_folder(tmp_path / "results", A100)
    record = {"status": "reached", "hardware": FOUR_V100}
    (results / "v0.5/external/mine_jax" / STUDY / "trial_1" / "result.json").write_text(json.dumps(record))
    result = score_logs(results, None, None, "as-documented", tmp_path / "out", PUBLISHED, allow_mixed_hardware=True)
    assert result.caveats == (
        "mixed hardware: 2 kinds",
        "one study where the protocol has 5: mine_jax",
        "hardware differs: the published ran on 8 x NVIDIA V100, these on 8 x NVIDIA A100-SXM4-40GB, 40 GiB and "
        "4 x Tesla V100-SXM2-16GB, 16 GiB; steps compare, times do not",
    )
    assert "these on 8 x NVIDIA A100" in (tmp_path / "out" / "caveats.txt").read_text()
    assert result.own == ("mine_jax",)
    assert len(result.published) == 11


def test_a_trial_whose_framework_computed_otherwise_than_most_is_named(tmp_path: Path):
    results = results_folder(tmp_path / "results", V100)
    study = results / "v0.5/external/mine_jax" / STUDY
    for trial in study.iterdir():
        flags = "--xla_gpu_autotune_level=0" if trial.name == "trial_2" else ""
        settings = {"cuDNN": "9.10.2.21", "XLA_FLAGS": flags}
        record = {"status": "reached", "hardware": V100, "framework_settings": settings}
        (trial / "result.json").write_text(json.dumps(record))
    result = score_logs(results, None, None, "as-documented", tmp_path / "out", with_published=PUBLISHED)
    assert result.caveats[0] == "mixed settings of frameworks: 1 differ from most others of their workload"
    rows = list(csv.DictReader((tmp_path / "out" / "data_quality.csv").open()))
    (found,) = [row for row in rows if "XLA_FLAGS" in row["what"]]
    assert found["path"].endswith("trial_2")
    assert found["what"] == ('XLA_FLAGS was "--xla_gpu_autotune_level=0", where most trials of fastmri in jax had ""')


def test_the_hardware_of_the_published_is_no_caveat(tmp_path: Path):
    results = results_folder(tmp_path / "results", V100)
    result = score_logs(results, None, None, "as-documented", tmp_path / "out", with_published=PUBLISHED)
    assert result.caveats == ("one study where the protocol has 5: mine_jax",)
    (results / "v0.5/external/mine_jax" / STUDY / "trial_3" / "result.json").unlink()
    result = score_logs(results, None, None, "as-documented", tmp_path / "out", with_published=PUBLISHED)
    assert "these on what is not recorded" in result.caveat


@pytest.mark.parametrize(
    ("kind", "same"),
    [
        ("8 x Tesla V100-SXM2-16GB, 16 GiB", True),
        ("8 x V100", True),
        ("4 x Tesla V100-SXM2-16GB, 16 GiB", False),
        ("8 x NVIDIA A100-SXM4-40GB, 40 GiB", False),
        ("18 x Tesla V100-SXM2-16GB, 16 GiB", False),
    ],
)
def test_what_the_published_ran_on(kind: str, same: bool):
    assert LEADERBOARDS["v0.5-external"].ran_on(kind) == same


def test_the_published_alone_have_no_caveat_and_no_own_but_steps_that_are_none(tmp_path: Path):
    result = score_logs(Path(PUBLISHED), None, None, "as-documented", tmp_path)
    assert (result.caveats, result.published, len(result.own)) == ((), (), 11)
    assert "Own submissions" not in (tmp_path / "leaderboard.txt").read_text()
    whats = {f.path: f.what for f in result.logs.findings if f.done.startswith("not compared in steps")}
    assert set(whats) == {"lawa_ema", "lawa_queue"}
    assert all("a logged step takes up to" in what for what in whats.values())


def test_the_command_finds_the_results_and_compares_in_time_and_steps(tmp_path: Path):
    """Mine are the real trials of one study of the published baseline, so that both ratios are near 1."""
    results_folder(tmp_path / "results", None)
    command = [sys.executable, "-m", "algoperf", "score", "results", "--with", PUBLISHED]
    environment = {**os.environ, "COLUMNS": "120"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, env=environment)
    assert "the published ran on 8 x NVIDIA V100, these on what is not recorded" in " ".join(done.stdout.split())
    (line,) = (line for line in done.stdout.splitlines() if "mine_jax" in line and " baseline " in line)
    time, steps = map(float, re.findall(r"([0-9.]+) \[1\]", line))
    assert 0.8 < time < 1.25
    assert time == pytest.approx(steps, rel=0.1)
    assert "leans on how far the others' lie apart: mine_jax" in " ".join(done.stdout.split())
    assert (tmp_path / "scores" / "report.html").exists()
    files = {path.name for path in (tmp_path / "scores").iterdir()}
    assert {"uncertainty.csv", "time_ratios.csv", "steps_to_target.csv", "leaderboard.txt"} <= files


def test_the_command_asks_where_it_cannot_know(tmp_path: Path):
    results_folder(tmp_path, None)
    (tmp_path / "v0.5" / "self").mkdir()
    command = [sys.executable, "-m", "algoperf", "score", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "has results of v0.5/external, v0.5/self: choose one of these by --protocol and --ruleset" in done.stderr
    assert not (tmp_path / "scores").exists()


def test_the_sub_tree_is_what_is_read(tmp_path: Path):
    results = results_folder(tmp_path / "results", None)
    result = score_logs(results, "v0.5", "external", "as-documented", tmp_path / "out")
    assert result.source == str(results / "v0.5" / "external")
    read = read_logs(results / "v0.5" / "external", V05, "external").trials
    assert list(map(repr, result.logs.trials)) == list(map(repr, read))  # what is not a number equals nothing


def test_what_was_refused_or_flagged_is_in_table_page_and_csv(tmp_path: Path):
    results = results_folder(tmp_path / "results", V100)
    trials = results / "v0.5" / "external" / "mine_jax" / STUDY
    said = "the submission changed the model."
    flag = {"rule": "threads", "what": "a thread was alive.", "global_step": 3}
    record = {"status": "submission_error", "hardware": V100, "refused": said, "flags": [flag]}
    (trials / "trial_2" / "result.json").write_text(json.dumps(record))
    score_logs(results, None, None, "as-documented", out := tmp_path / "out")
    shown = " ".join((out / "leaderboard.txt").read_text().split())
    assert f"refused: mine_jax/{STUDY}/trial_2: {said}" in shown
    assert "1 trial has flags to be judged: flags.csv" in shown
    page = (out / "report.html").read_text()
    assert said in page
    assert "Refused and flagged" in page
    assert "by 1 of 5 studies" in page
    with (out / "flags.csv").open(newline="") as file:
        found = [(row["verdict"], row["rule"], row["what"]) for row in csv.DictReader(file)]
    assert found == [("refused", "", said), ("flagged", "threads", "a thread was alive.")]
    with (out / "trials.csv").open(newline="") as file:
        rows = {row["trial"]: row for row in csv.DictReader(file)}
    names = ("status", "refused", "flags", "hit_seconds")
    assert [rows["trial_2"][name] for name in names] == ["submission_error", said, "threads", ""]
    with (out / "studies.csv").open(newline="") as file:
        (study,) = (row for row in csv.DictReader(file) if row["workload"] == "fastmri")
    assert study["trial"] != "trial_2"  # which had been the fastest


def test_others_at_work_beside_the_trials_are_a_caveat(tmp_path: Path):
    results = results_folder(tmp_path / "results", V100)
    trials = sorted((results / "v0.5/external/mine_jax" / STUDY).iterdir())

    def scored(*others: float) -> tuple[str, ...]:
        for trial, seconds in zip(trials, others, strict=False):
            beside = {"processor_seconds": 100.0, "others_seconds": seconds, "stolen_seconds": 0.0}
            record = {"status": "reached", "hardware": V100, "hardware_evidence": {"beside": beside}}
            (trial / "result.json").write_text(json.dumps(record))
        return score_logs(results, None, None, "as-documented", tmp_path / "out").caveats

    only = scored(1, 2, 3, 4, 9.9)
    assert not any("at work" in caveat for caveat in only)
    busy = scored(1, 2, 60, 10.1)
    assert [caveat for caveat in busy if caveat not in only] == [
        "others were at work beside 2 of 5 trials and took up to 60 % of the processors: the times are theirs, too"
    ]
    assert busy[0] in " ".join((tmp_path / "out" / "leaderboard.txt").read_text("utf-8").split())
