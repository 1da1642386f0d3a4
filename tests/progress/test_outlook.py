"""What `algoperf plan` finds out of an experiment, before and after some of its trials have ended."""

import json

import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.experiment import config, plan
from algoperf.machine.cluster import Accelerator
from algoperf.progress import estimate, outlook
from algoperf.records import official_files
from algoperf.records.atomic import write_json


def make(tmp_path, **changed):
    content = {"protocol": "v0.6", "workloads": ["fastmri"], "submissions": [{"name": "nadamw", "framework": "jax"}]}
    return config.parse({**content, "results_dir": tmp_path, "data_dir": tmp_path, **changed})


def test_accelerators_of_a_trial_make_its_hours(tmp_path):
    seconds = outlook.as_dict(outlook.look(make(tmp_path), Accelerator(), 1))
    hours = outlook.as_dict(outlook.look(make(tmp_path), Accelerator(count=4, nodes=2), 2))
    assert (seconds["accelerators_of_a_trial"], hours["accelerators_of_a_trial"]) == (None, 8)
    for name, value in seconds["accelerator_hours"].items():
        assert hours["accelerator_hours"][name] == pytest.approx(8 * value)
    assert hours["wall_clock_seconds"] == seconds["wall_clock_seconds"]
    (row,) = hours["workloads"]
    assert row["accelerator_hours"]["at_most"] == pytest.approx(15 * 8 * row["seconds_at_most"]["held"] / 3_600)


def test_more_nodes_run_more_trials_at_once(tmp_path):
    one, three = (outlook.look(make(tmp_path), Accelerator(count=8), nodes) for nodes in (1, 3))
    assert three.wall_clock.at_most == pytest.approx(one.wall_clock.at_most / 3)
    assert three.checkpoints == 3 * one.checkpoints


def test_too_few_nodes_for_a_trial(tmp_path):
    with pytest.raises(UsageError, match="takes 2 nodes, more than 1; give --nodes 2 or more"):
        outlook.look(make(tmp_path), Accelerator(nodes=2), 1)


def test_what_is_run_again_is_not_done_and_why_is_said(tmp_path):
    experiment = make(tmp_path)
    trial = plan.trials(experiment)[0]
    (tmp_path / trial.folder).mkdir(parents=True)
    result = {"status": "reached", "global_step": 9, "charged_time": 500.0, "seed": 1}
    write_json(tmp_path / trial.folder / official_files.RESULT, result)
    found = outlook.look(experiment, Accelerator(count=8), 1)
    assert [row.done for row in found.estimates] == [0]
    assert len(found.again) == 1
    assert found.again[0].startswith(f"again: 1 of {trial.label}: what there is, is of another seed (1, now ")
    assert outlook.as_dict(found)["again"] == found.again


def test_finished_trials_stand_beside_what_was_expected_and_shorten_what_is_left(tmp_path):
    experiment = make(tmp_path)
    before = outlook.look(experiment, Accelerator(count=8), 1)
    for trial in plan.trials(experiment)[:5]:
        folder = tmp_path / trial.folder
        folder.mkdir(parents=True)
        row = {"accumulated_submission_time": 500.0, "accumulated_eval_time": 90.0, "accumulated_logging_time": 10.0}
        official_files.Table(
            folder / official_files.EVALUATIONS, [{**row, "global_step": 9, "validation/ssim": 0.73}]
        ).begin()
        write_json(folder / "meta_data_0.json", {"seconds_to_first_step": 100.0})
        write_json(folder / official_files.RESULT, {"status": "reached", "global_step": 9, "charged_time": 500.0})
    after = outlook.look(experiment, Accelerator(count=8), 1)
    (row,) = after.estimates
    assert (row.done, row.took) == (5, 5 * 700.0)
    assert (row.at_most, row.expected) == (before.estimates[0].at_most, before.estimates[0].expected)
    assert row.left < 10 * row.expected / 15
    assert after.wall_clock.left == pytest.approx(row.left)
    assert before.wall_clock.left == pytest.approx(before.wall_clock.expected)
    json.dumps(outlook.as_dict(after), allow_nan=False)


def test_a_damaged_result_is_not_counted(tmp_path):
    experiment = make(tmp_path)
    folder = tmp_path / plan.trials(experiment)[0].folder
    folder.mkdir(parents=True)
    (folder / official_files.RESULT).write_text("{")
    assert outlook.look(experiment, Accelerator(), 1).estimates[0].done == 0


def test_all_of_it_is_json_with_every_part_of_the_time(tmp_path):
    found = outlook.as_dict(outlook.look(make(tmp_path, workloads="all"), Accelerator(count=8), 1))
    assert (found["trials"], found["done"], len(found["workloads"])) == (120, 0, 8)
    for name in ("at_most", "expected", "left"):
        rows = sum(row["accelerator_hours"][name] for row in found["workloads"])
        assert found["accelerator_hours"][name] == pytest.approx(rows)
    kind = estimate.Kind("v0.6", "external", "criteo1tb")
    assert found["workloads"][0]["seconds_expected"]["free"] == pytest.approx(estimate.expected(kind).free)
    assert found["bytes"]["data"] > 10**12
