"""A leaderboard is of its config: what was not planned is named and not ranked."""

import json
import shutil
from pathlib import Path

import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.records import made_of
from scoring.command import score_logs
from scoring.logs.planned import is_named, not_as_planned, read_plan
from scoring.logs.read import read_logs
from tests.conftest import REPOSITORY
from tests.support.scoring_logs import V05

STUDY = "study_1/fastmri_jax"
REAL = REPOSITORY / "tests" / "data" / "scoring" / "logs" / "baseline" / STUDY
NAMES = [f"mine/{STUDY}/trial_{number}" for number in (1, 2, 3)]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Five real trials of each of two submissions; of one, three were planned."""
    for submission in ("mine", "foreign"):
        shutil.copytree(REAL, tmp_path / "logs" / submission / STUDY)
    for name in NAMES:
        (tmp_path / "logs" / name / "result.json").write_text(json.dumps({"status": "reached", "seed": 1}))
    return tmp_path / "logs"


def plan(tmp_path: Path, seed: int = 1) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({f"v0.5/external/{name}": {"seed": seed} for name in NAMES}))
    return path


def test_only_what_was_planned_is_read_and_the_rest_is_named(logs: Path, tmp_path: Path):
    found = read_logs(logs, V05, "external", read_plan(plan(tmp_path), V05, "external"))
    assert [trial.path for trial in found.trials] == NAMES
    named = [finding.path for finding in found.findings if finding.what == "no part of this experiment"]
    assert named == ["foreign", *(f"mine/{STUDY}/trial_{number}" for number in (4, 5))]
    assert {finding.done for finding in found.findings if finding.path in named} == {"not ranked"}


def test_what_was_made_of_something_else_is_not_ranked(logs: Path, tmp_path: Path):
    path = plan(tmp_path, seed=2)
    with pytest.raises(UsageError, match=r"can be ranked: foreign: no part of this experiment\."):
        read_logs(logs, V05, "external", read_plan(path, V05, "external"))
    path.write_text(path.read_text().replace('"seed": 2', '"seed": 1', 1))
    found = read_logs(logs, V05, "external", read_plan(path, V05, "external"))
    assert [trial.path for trial in found.trials] == NAMES[:1]
    assert "made of something else than was planned (seed): run it again" in {
        finding.what for finding in found.findings
    }


def test_what_was_planned_and_does_not_count_is_said_beside_the_score(logs: Path, tmp_path: Path):
    """A submission that was edited while the workflow ran: some of its trials are of the edited one."""
    for name in NAMES[:2]:
        (logs / name / "result.json").write_text(json.dumps({"status": "reached", "seed": 2}))
    result = score_logs(logs, "v0.5", "external", "as-documented", tmp_path / "out", plan=plan(tmp_path))
    assert "2 of 3 planned trials do not count" in result.caveats


def test_trials_of_several_contents_are_said_beside_the_score(logs: Path, tmp_path: Path):
    for name, content in zip(NAMES, "aab", strict=True):
        result = {"status": "reached", "submission_sha256": content}
        (logs / name / "result.json").write_text(json.dumps(result))
    found = score_logs(logs, "v0.5", "external", "as-documented", tmp_path / "out")
    assert "mine: trials of 2 contents" in found.caveats


def test_without_a_plan_all_count(logs: Path):
    assert len(read_logs(logs, V05, "external").trials) == 10
    assert is_named(None, "anything")
    assert not_as_planned(None, "anything", {"seed": 1}) == ""


def test_scores_say_which_results_they_are_of(logs: Path, tmp_path: Path):
    out = tmp_path / "out"
    score_logs(logs, "v0.5", "external", "as-documented", out, plan=plan(tmp_path))
    assert "foreign" not in (out / "scores.csv").read_text()
    assert made_of.is_current(out, logs, NAMES)
    assert not made_of.is_current(out, logs, NAMES[:2])
    (logs / NAMES[0] / "result.json").write_text(json.dumps({"status": "reached", "seed": 1, "global_step": 3}))
    assert not made_of.is_current(out, logs, NAMES)
    assert not made_of.is_current(tmp_path, logs, NAMES)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not JSON"),
        ("[]", "has no trial of v0.5 under external tuning"),
        ("{}", "has no trial"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_plan_is_one_sentence(tmp_path: Path, text: str | None, sentence: str):
    if text is not None:
        (tmp_path / "plan.json").write_text(text)
    with pytest.raises(UsageError, match=sentence):
        read_plan(tmp_path / "plan.json", V05, "external")
