"""Which trials are found, from whichever folder one looks."""

import pytest

from algoperf.benchmark.facts import UsageError
from scoring.mirror.places import find
from tests.conftest import REPOSITORY

TRIAL = "mini/external/mine_jax/study_0/wmt_jax/trial_1"


def test_a_trial_has_one_name_from_wherever_it_is_looked_for(tmp_path):
    for folder in (TRIAL, f"superseded/20261129T100000.000000Z/{TRIAL}", "mini/scores/external", "mini/logs"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "mini" / "plan.json").touch()
    for parts in range(4):
        (place,) = find(tmp_path.joinpath(*TRIAL.split("/")[:parts]))
        assert place.name == TRIAL
        assert place.folder == (tmp_path / TRIAL).resolve()
    assert (place.protocol, place.workload, place.trial) == ("mini", "wmt", "trial_1")


def test_trees_of_logs_are_read_as_they_are():
    names = [place.name for place in find(REPOSITORY / "tests" / "data" / "scoring" / "logs")]
    assert len(names) == len(set(names)) == 26
    assert "baseline/study_1/imagenet_resnet_silu_jax/trial_1" in names
    assert not any(place.protocol for place in find(REPOSITORY / "tests" / "data" / "scoring"))


def test_what_is_no_folder_is_refused(tmp_path):
    assert find(tmp_path) == []
    with pytest.raises(UsageError, match="there is no folder of results"):
        find(tmp_path / "missing")
