"""What the workflow tells trials that are raced, in which order they go, and which results stand."""

import json

import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.experiment import config, plan
from algoperf.experiment.races import Races
from algoperf.records import official_files
from algoperf.records.atomic import write_json

SUBMISSIONS = [{"name": "nadamw", "framework": "jax"}]


def races(tmp_path, **changes):
    content = {"protocol": "v0.5", "submissions": SUBMISSIONS, "workloads": ["wmt"], "results_dir": str(tmp_path)}
    checked = config.parse({**content, **changes})
    trials = plan.trials(checked)
    definitions = plan.definitions(checked, trials)
    return Races(checked, tmp_path / "v0.5" / "plan.json", lambda: definitions), trials, definitions


def test_without_racing_trials_are_told_nothing_and_go_as_planned(tmp_path):
    found, trials, _ = races(tmp_path)
    assert found.options == ()
    assert {found.priority(trial.workload, trial.study) for trial in trials} == {0}


def test_a_race_is_told_and_ordered(tmp_path):
    found, trials, _ = races(tmp_path, racing="scores", racing_order="sequential")
    assert found.options == ("--racing", "scores", "--plan", str(tmp_path / "v0.5" / "plan.json"))
    first_to_last = sorted({(found.priority(t.workload, t.study), t.workload, t.study) for t in trials}, reverse=True)
    order = [(workload, study) for _, workload, study in first_to_last]
    assert order == [(name, study) for name in ("wmt", "wmt_glu_tanh") for study in range(5)]
    assert min(first_to_last)[0] > 0  # Snakemake runs nothing that has less


def test_a_result_of_racing_stands_while_its_bound_does(tmp_path):
    found, trials, definitions = races(tmp_path, racing="trials")
    first, second = (trial for trial in trials if (trial.workload, trial.study) == ("wmt", 0) and trial.trial < 3)
    pruned = {"status": "pruned", "time_to_target": None, "charged_time": 50.0}
    folder = tmp_path / first.folder
    folder.mkdir(parents=True)
    of_first = {**json.loads(json.dumps(definitions[first].record)), "status": "reached", "charged_time": 60.0}
    write_json(folder / official_files.RESULT, {**of_first, "time_to_target": 40.0})
    assert found.holds(second, pruned)
    assert found.holds(second, {"status": "reached"})
    assert not races(tmp_path)[0].holds(second, pruned)  # without racing it goes on
    write_json(folder / official_files.RESULT, {**of_first, "time_to_target": 60.0})
    assert found.holds(second, pruned)  # by the results that were there at first
    again = races(tmp_path, racing="scores")[0]
    assert not again.holds(second, pruned)
    write_json(folder / official_files.RESULT, {**of_first, "time_to_target": 40.0, "seed": 1})
    assert not races(tmp_path, racing="scores")[0].holds(second, pruned)  # another trial's result


@pytest.mark.parametrize("changes", [{"racing": "all"}, {"racing_order": "random"}])
def test_an_unknown_value_is_refused(tmp_path, changes):
    with pytest.raises(UsageError, match="racing"):
        races(tmp_path, **changes)
