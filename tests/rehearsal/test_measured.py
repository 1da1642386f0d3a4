"""What plan, doctor and the table make of rehearsals."""

import csv
import json

import pytest

from algoperf.benchmark.registry import load_spec
from algoperf.doctor import checks
from algoperf.experiment import config
from algoperf.machine.cluster import Accelerator
from algoperf.progress import outlook
from algoperf.rehearsal import measured, table

RECORD = {
    "workload": "wmt",
    "submission": "nadamw_jax",
    "framework": "jax",
    "protocol": "v0.6-a100",
    "examples": "made up",
    "is_of_official_batch": True,
    "steps": 5,
    "done": "2026-11-29T10:00:00+00:00",
    "failed": None,
    "why": "",
    "flags": [],
    "batches_a_second": None,
    "hardware": {"kind": "gpu", "name": "NVIDIA <A100>", "count": 4, "memory_gib": 40},
    "batch_size": 128,
    "eval_batch_size": 100,
    "git_commit_hash": "0123456789abcdef",
    "seconds": {"set up": 20.0, "first step": 90.0, "evaluation": 6.0, "restart": 60.0},
    "seconds_a_step": 0.25,
    "seconds_waiting": 0.001,
    "checkpoint_bytes": 2**30,
    "peak_bytes": 20 * 2**30,
    "same_step": "bit by bit",
}


@pytest.fixture
def experiment(tmp_path):
    content = {"protocol": "v0.6-a100", "rulesets": ["self"], "workloads": ["wmt"]}
    content |= {"submissions": [{"name": "nadamw", "framework": "jax"}], "results_dir": str(tmp_path)}
    return config.parse(content)


def leave(tmp_path, **values):
    path = tmp_path / "v0.6-a100" / "rehearsal" / "nadamw_jax" / "wmt_jax" / "rehearsal.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**RECORD, **values}))


def test_plan_uses_what_was_measured(experiment, tmp_path):
    before = outlook.as_dict(outlook.look(experiment, Accelerator(), 1))["workloads"][0]
    leave(tmp_path)
    after = outlook.as_dict(outlook.look(experiment, Accelerator(), 1))["workloads"][0]
    spec = load_spec("wmt")
    splits = [spec.num_eval_train_examples, spec.num_validation_examples, spec.num_test_examples]
    assert before["rehearsed"] is None
    assert after["rehearsed"] == {"set_up": 90.0, "evaluation": pytest.approx(6.0 * sum(splits) / 600), "step": 0.25}
    assert after["seconds_at_most"]["set_up"] == 90.0 != before["seconds_at_most"]["set_up"]
    assert after["seconds_at_most"]["charged"] == before["seconds_at_most"]["charged"]


@pytest.mark.parametrize("values", [{"failed": "steps"}, {"is_of_official_batch": False}])
def test_what_is_no_measure_of_a_trial_is_not_used(values, experiment, tmp_path):
    leave(tmp_path, **values)
    assert measured.by_workload(measured.records(tmp_path, "v0.6-a100")) == {}


def test_a_damaged_record_is_passed_over(tmp_path):
    leave(tmp_path)
    (file,) = tmp_path.rglob("rehearsal.json")
    file.write_bytes(file.read_bytes()[:-40])
    assert measured.records(tmp_path, "v0.6-a100") == []


def test_doctor_says_when_of_which_code_and_machine_and_what_failed(experiment, tmp_path):
    assert "none yet" in checks._rehearsal(experiment).advice
    leave(tmp_path)
    found = checks._rehearsal(experiment)
    assert found.mark == "note"
    assert "2026-11-29, 1 of the cells on 4 x NVIDIA <A100>, code 0123456789; the code is another now" in found.advice
    leave(tmp_path, failed="first step", why="out_of_memory")
    assert checks._rehearsal(experiment).mark == "mend"
    assert "wmt with nadamw_jax failed" in checks._rehearsal(experiment).advice


def test_the_table_has_a_row_for_each_cell_and_those_that_fail_come_first(tmp_path):
    failing = {**RECORD, "workload": "ogbg", "failed": "first step", "why": "<b>too large</b>", "same_step": None}
    failing |= {"seconds": {"set up": 3.0}, "seconds_a_step": None, "seconds_waiting": None, "peak_bytes": None}
    table.write([RECORD, {**failing, "checkpoint_bytes": None}], tmp_path)
    with (tmp_path / "rehearsal.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["ends"] for row in rows] == ["as it should", "fails: first step"]
    assert (rows[0]["ms a step"], rows[0]["peak (GiB)"], rows[1]["ms a step"]) == ("250", "20", "")
    assert float(rows[0]["ms a step by the budget"]) > 0
    page = (tmp_path / "rehearsal.html").read_text()
    assert page.index("fails: first step") < page.index("as it should")
    assert "1 of 2 cells fail" in page
    assert "<b>too large" not in page
    assert "&lt;A100&gt;" in page
