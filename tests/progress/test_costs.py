"""The facts that estimates rest on: that they are there, and that they say what their sources say."""

import csv
import math
import statistics

import pandas as pd
import pytest

from algoperf.benchmark.facts import SCALES
from algoperf.benchmark.protocol import PROTOCOLS, TARGET_SETTING
from algoperf.benchmark.registry import base_workloads, load_spec, variants, workload_names
from algoperf.experiment import config
from algoperf.progress import costs
from algoperf.progress.costs.__main__ import baseline_rows, mini_rows
from tests.conftest import REPOSITORY
from tests.workloads.models.test_parameters import TABLE

V06 = PROTOCOLS["v0.6"]
with (REPOSITORY / "scoring" / "published" / "v0.5-external.csv").open(newline="") as file:
    LEADERBOARD = list(csv.DictReader(file))


def baseline():
    with costs.BASELINE.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_trial_of_a_protocol_has_something_to_be_compared_with():
    for protocol in PROTOCOLS.values():
        for workload in (*protocol.workloads, *protocol.held_out, *protocol.unscored):
            for ruleset in ("external", "self"):
                assert costs.took(workload, ruleset, protocol), (protocol.name, workload, ruleset)
            assert costs.took(workload, TARGET_SETTING, protocol) == ()  # which has no target to stop at


def test_external_tuning_is_compared_with_all_trials_of_the_leaderboard():
    found = costs.took("fastmri", "external", V06)
    assert (len(found), sum(entry.reached for entry in found)) == (275, 226)
    assert all(math.isfinite(entry.charged) for entry in found if entry.reached)
    assert costs.took("fastmri_tanh", "external", V06) != found
    assert costs.took("fastmri_layernorm", "external", V06) == found  # which nobody has published


def test_a_trial_that_missed_and_ended_early_took_what_was_logged():
    """All trials of v0.5 together took 0.84 of what they would have, had each stopped at its hit or with its budget."""
    v05 = PROTOCOLS["v0.5"]
    logged = hits = 0.0
    for workload in (*v05.workloads, *v05.held_out):
        budget = v05.max_runtime(load_spec(workload), "external")
        for row in (row for row in LEADERBOARD if row["workload"] == workload):
            logged += min(float(row["end_time"]), budget)
            hits += min(float(row["hit_time"] or math.inf), budget)
        took = [min(entry.charged, budget) for entry in costs.took(workload, "external", v05)]
        ends = [min(float(row["end_time"]), budget) for row in LEADERBOARD if row["workload"] == workload]
        assert sum(took) == pytest.approx(sum(ends), rel=0.01)
    assert logged / hits == pytest.approx(0.842, abs=0.001)


def test_self_tuning_is_compared_with_the_baseline_and_on_a100_with_its_leaderboard():
    found = costs.took("librispeech_deepspeech", "self", V06)
    assert (len(found), sum(entry.reached for entry in found)) == (5, 4)
    on_a100 = costs.took("librispeech_deepspeech", "self", PROTOCOLS["v0.6-a100"])
    assert (len(on_a100), sum(entry.reached for entry in on_a100)) == (51, 7)


def test_the_baselines_file_has_the_facts_of_its_logs():
    """As the logs were summed up elsewhere: trials, hits and the median hit of some of them."""
    rows = [row for row in baseline() if (row["ruleset"], row["workload"]) == ("external", "wmt")]
    hits = [float(row["hit_time"]) for row in rows if row["hit_time"]]
    assert (len(rows), len(hits), round(statistics.median(hits))) == (25, 22, 42_033)
    assert len(baseline()) == 7 * 25 + 8 * 5


@pytest.mark.parametrize("workload", sorted({row["workload"] for row in baseline()}))
def test_a_spec_says_how_long_an_evaluation_took_in_the_baseline(workload):
    """But for the first one of each trial, in which it was compiled."""
    rows = [row for row in baseline() if row["workload"] == workload]
    later = sum(float(row["evaluation_time"]) - float(row["first_evaluation_time"]) for row in rows)
    mean = later / sum(int(row["evaluations"]) - 1 for row in rows)
    assert load_spec(workload).needs.evaluation_time == pytest.approx(mean, rel=0.03)


def test_a_row_of_the_baselines_file_is_made_of_its_trials_evaluations():
    times = [10.0, 20.0, 30.0, 40.0]
    evaluations = pd.DataFrame(
        {
            **{"ruleset": "self_tuning", "study": "study_0", "workload": "fastmri", "trial": 1},
            **{"global_step": [1, 2, 3, 4], "accumulated_submission_time": times, "accumulated_eval_time": times},
            **{"validation_metric": [0.1, 0.73, 0.7, 0.7], "test_metric": [0.1, 0.7, 0.75, 0.7]},
        }
    )
    (row,) = baseline_rows(evaluations)
    assert (row["ruleset"], row["hit_time"], row["both_time"], row["evaluations"]) == ("self", 20.0, 30.0, 4)
    (missed,) = baseline_rows(evaluations.assign(test_metric=0.1))
    assert (missed["hit_time"], missed["both_time"], missed["charged"]) == (20.0, None, 40.0)


def test_a_row_of_the_mini_file_needs_a_finished_trial(tmp_path):
    content = {"protocol": "mini", "submissions": [{"name": "nadamw", "framework": "jax"}], "results_dir": tmp_path}
    assert mini_rows(config.parse(content)) == []


def test_the_parameters_are_those_of_the_models():
    for name in workload_names():
        assert costs.parameters(name, "full") == TABLE[name][0]
    for base in base_workloads():
        own = {costs.parameters(name, "mini") for name in (base, *variants(base))}
        assert own == {costs.parameters(base, "mini")}


def test_a_store_has_its_real_size_where_it_is_prepared_and_the_documented_one_elsewhere(tmp_path, data_dir):
    size, is_prepared = costs.store_bytes("nyc_flights", data_dir)
    expected, is_there = costs.store_bytes("nyc_flights", tmp_path)
    assert (is_prepared, is_there) == (True, False)
    assert size == pytest.approx(expected, rel=0.1)


def test_a_damaged_store_has_the_documented_size(tmp_path):
    (tmp_path / "nyc_flights").mkdir()
    (tmp_path / "nyc_flights" / "manifest.json").write_text("{")
    assert costs.store_bytes("nyc_flights", tmp_path) == (50_000_000, False)


def test_the_sizes_of_stores_are_those_of_the_documentation():
    units = {"GB": 1e9, "MB": 1e6}
    table = {}
    for line in (REPOSITORY / "docs" / "data.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 5 and cells[3] in ("full", "mini"):
            number, unit = cells[5].removeprefix("about ").split()
            name = cells[1].removeprefix("[").partition("]")[0].strip("`")  # with a page of its own
            table[name] = float(number) * units[unit]
    assert set(table) == {load_spec(name, scale).dataset for name in base_workloads() for scale in SCALES}
    for dataset, size in table.items():
        assert costs.store_bytes(dataset, REPOSITORY / "nowhere") == (pytest.approx(size), False)
