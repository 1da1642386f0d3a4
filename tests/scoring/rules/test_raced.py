"""What a score says of trials that racing has ended, and that it is made of none that has to go on."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from algoperf.benchmark.facts import InfrastructureError
from scoring.certainty.uncertainty import draw
from scoring.command import score_logs
from scoring.logs.record import Record
from scoring.logs.trials import Trial
from scoring.rules.score import score_trials
from tests.conftest import REPOSITORY
from tests.support.scoring_logs import SMALL, trial

SAMPLE = REPOSITORY / "tests" / "data" / "scoring" / "logs"
STUDY = "study_1/fastmri_jax"
NEVER = float("inf")


def ended(submission: str, study: int, workload: str, number: int, charged: float, level: str = "studies") -> Trial:
    result = {"charged_time": charged, "racing": {"level": level}}
    record = Record(status="pruned", has_missed=True, result=result)
    identity = (submission, f"study_{study}", workload, "jax", f"trial_{number}", f"{submission}/{study}/{number}")
    return Trial(*identity, rows=int(charged > 0), record=record)


def test_a_workload_that_racing_took_away_was_not_missed():
    reached = [trial("a", study, "wmt", 1, 10.0) for study in range(3)]
    slow = [ended("b", study, "wmt", 1, 41.0, "scores") for study in range(3)]
    missed = [trial("c", 0, "wmt", 1, NEVER), trial("c", 1, "wmt", 1, NEVER), ended("c", 2, "wmt", 1, 0.0)]
    cells = {
        s.submission: s.cells["wmt"] for s in score_trials(reached + slow + missed, SMALL, "as-documented").standings
    }
    assert cells["b"].lost == "ended by racing"
    assert "pruned 3 of 3 trials" in cells["b"].why
    assert cells["c"].lost == "not reached"  # in so many studies that the last one could not have changed it


def test_draws_say_what_they_were_not_told():
    trials = [trial("a", 0, "wmt", 1, 10.0), trial("a", 1, "wmt", 1, 20.0), ended("a", 2, "wmt", 1, 20.0)]
    said = "Racing ended 1 study that counts as not reached here"
    assert said in draw(trials, SMALL, "as-documented", draws=3).note
    assert said in draw(trials, SMALL, "as-documented", "studies", draws=3).note
    within = [*trials[:2], trial("a", 2, "wmt", 1, 30.0), ended("a", 2, "wmt", 2, 30.0, "trials")]
    assert "Racing" not in draw(within, SMALL, "as-documented", "studies", draws=3).note
    assert (
        "Racing ended 1 trial that counts" in draw(within, SMALL, "as-documented", "studies and trials", draws=3).note
    )


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Five real trials of a study: one reached, and racing has ended the third after that."""
    results = tmp_path / "results"
    study = results / "v0.5" / "external" / "mine_jax" / STUDY
    shutil.copytree(SAMPLE / "baseline" / STUDY, study)
    for number in (1, 2, 4, 5):
        (study / f"trial_{number}" / "result.json").write_text(json.dumps({"status": "reached", "seed": number}))
    say(results, 3, charged_time=9_000.0)
    return results


def say(results: Path, number: int, **changes) -> None:
    folder = results / "v0.5" / "external" / "mine_jax" / STUDY / f"trial_{number}"
    rows = (folder / "eval_measurements.csv").read_text().splitlines()
    (folder / "eval_measurements.csv").write_text("\n".join(rows[:2]) + "\n")  # not reached yet
    racing = {"level": "trials", "bound": 100.0, "why": "", "set_by": []}
    result = {"status": "pruned", "time_to_target": None, "global_step": 9, "seed": 3, "racing": racing}
    (folder / "result.json").write_text(json.dumps({**result, **changes}))


def test_tables_page_and_terminal_say_what_racing_has_ended(results: Path, tmp_path: Path):
    result = score_logs(results, None, None, "as-documented", out := tmp_path / "out")
    said = "racing (trials) ended 1 of 5 trials where they could change nothing any more, with 0.0 h of their budgets"
    assert result.racing.startswith(said)
    assert not any("racing" in caveat for caveat in result.caveats)
    assert said in " ".join((out / "leaderboard.txt").read_text().split())
    assert said in (out / "report.html").read_text()
    with (out / "trials.csv").open(newline="") as file:
        rows = {row["trial"]: row for row in csv.DictReader(file)}
    assert (rows["trial_3"]["status"], rows["trial_3"]["censored_at"]) == ("pruned", "9000.000")
    assert rows["trial_1"]["censored_at"] == ""


def test_the_published_reading_has_a_caveat(results: Path, tmp_path: Path):
    result = score_logs(results, None, None, "as-published", tmp_path / "out")
    assert any("as published, by row index, one might have counted" in caveat for caveat in result.caveats)


def test_no_score_is_made_of_a_trial_that_has_to_go_on(results: Path, tmp_path: Path):
    """Whose bound came from a trial that has been run again, say, and is slower now."""
    say(results, 3, charged_time=1.0)
    names = [f"v0.5/external/mine_jax/{STUDY}/trial_{number}" for number in range(1, 6)]
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({name: {"seed": number} for number, name in enumerate(names, 1)}))
    with pytest.raises(InfrastructureError, match="racing ended 1 trial that by now could change something"):
        score_logs(results, None, None, "as-documented", tmp_path / "out", plan=plan)
    assert not (tmp_path / "out").exists()
    result = score_logs(results, None, None, "as-documented", tmp_path / "out")
    assert any("they have to go on" in caveat for caveat in result.caveats)


def test_a_trial_that_never_began_is_no_damage(results: Path, tmp_path: Path):
    folder = results / "v0.5" / "external" / "mine_jax" / STUDY / "trial_3"
    say(results, 3, charged_time=9_000.0)
    (folder / "eval_measurements.csv").write_text("")
    score_logs(results, None, None, "as-documented", out := tmp_path / "out")
    with (out / "data_quality.csv").open(newline="") as file:
        done = {row["done"] for row in csv.DictReader(file) if row["path"].endswith("trial_3")}
    assert done == {"racing ended it before it began"}
