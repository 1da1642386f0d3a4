"""The published leaderboard: as it is shipped, and from its real logs, 3,718 files with all their damage."""

import math
import re
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from algoperf.benchmark.protocol import load_protocol
from scoring.logs.checks import by_hardware, other_terms
from scoring.logs.published import LEADERBOARDS, leaderboard_file, published_scores, write_published
from scoring.logs.published import PUBLISHED as PUBLISHED_NAMES
from scoring.logs.read import read_logs
from scoring.logs.trials import Logs
from scoring.rules.score import score_trials
from tests.conftest import REPOSITORY
from tests.support.scoring_logs import PUBLISHED

ARCHIVE = REPOSITORY / "tests" / "data" / "scoring" / "v0.5-external.tar.xz"
SHIPPED = REPOSITORY / "scoring" / "published" / "v0.5-external.csv"
V05 = load_protocol("v0.5")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Logs:
    folder = tmp_path_factory.mktemp("v05")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return read_logs(folder, V05, "external")


def test_what_is_read_is_written_again_to_the_last_digit(tmp_path: Path):
    write_published(Logs(PUBLISHED, ()), V05, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == SHIPPED.read_bytes()


def test_each_hit_has_its_step_and_each_miss_none():
    for trial in PUBLISHED:
        assert math.isfinite(trial.hit_step) == (trial.hit_row is not None)
        assert trial.hit_step == int(trial.hit_step) > 0 if trial.hit_row is not None else trial.hit_step == math.inf


def test_the_real_logs_give_the_published_scores(logs: Logs):
    standings = score_trials(logs.trials, V05, "as-published").standings
    assert {s.submission: round(s.score, 4) for s in standings} == published_scores("v0.5-external")


def test_the_shipped_file_is_what_the_real_logs_give(logs: Logs, tmp_path: Path):
    write_published(logs, V05, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == SHIPPED.read_bytes()


@pytest.mark.parametrize("name", PUBLISHED_NAMES)
def test_every_shipped_leaderboard_has_its_published_scores(name: str):
    leaderboard = LEADERBOARDS[name]
    protocol = load_protocol(leaderboard.protocol)
    trials = read_logs(f"published:{name}", protocol, leaderboard.ruleset).trials
    standings = score_trials(trials, protocol, "as-published").standings
    published = published_scores(name)
    assert [standing.submission for standing in standings] == list(published)
    digits = 6 if protocol.name == "v0.6-a100" else 4
    assert {s.submission: round(s.score, digits) for s in standings} == published


@pytest.mark.parametrize(
    ("archive", "name"),
    [("algoperf_v05_self_tuning", "v0.5-self"), ("algoperf_a100_self_tuning", "v0.6-a100-self")],
)
def test_the_command_makes_the_shipped_files_again_and_their_logs_have_no_caveat(archive, name, tmp_path: Path):
    packed = ARCHIVE.with_name(f"{archive}.tar.xz")
    with tarfile.open(packed) as opened:
        opened.extractall(tmp_path, filter="data")
    leaderboard = LEADERBOARDS[name]
    protocol = load_protocol(leaderboard.protocol)
    found = read_logs(tmp_path / archive, protocol, leaderboard.ruleset)
    write_published(found, protocol, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == leaderboard_file(name).read_bytes()
    assert other_terms(found.trials, protocol) == []
    assert [leaderboard.ran_on(kind) for kind in by_hardware(found.trials, protocol)] == [True]


def test_all_real_damage_is_reported(logs: Logs):
    """Counted independently of this reader, when the logs were collected."""
    assert sum(trial.readable for trial in logs.trials) == 3_718 - 18
    kinds = Counter(re.sub("[0-9]+", "n", finding.what) for finding in logs.findings)
    assert kinds == {
        "no eval_measurements.csv": 181,
        "no readable trial": 31,
        "n of n trials readable": 29,
        "no trials of librispeech_deepspeech": 2,
        "NaN or infinity in validation/loss, in n of n rows": 12,
        "a single evaluation": 120,
        "a trial one level too high: its workload is unknown": 18,
        "the same workload is there under both frameworks": 3,
        "not part of protocol vn.n": 16,
        "trial_n is n hyperparameter points, over its studies and workloads": 1,
    }
    assert len(set(logs.findings)) == len(logs.findings)
