"""The tables of how sure the scores are: what is in their cells, and what is empty."""

import csv
import io
import math
from pathlib import Path

import pytest

from scoring.certainty.uncertainty import TAU, WAYS
from scoring.logs.trials import Logs, Trial
from scoring.result import Result
from scoring.rules.score import score_trials
from scoring.tables.analysis import analysis_tables
from scoring.tables.tables import CsvTable
from tests.support.scoring_logs import PUBLISHED, SMALL, V05, trial


def rows(table: CsvTable) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.csv().decode())))


def result_of(trials: list[Trial], protocol=SMALL) -> Result:
    scores = score_trials(trials, protocol, "as-documented")
    return Result(str(Path("logs")), "external", Logs(tuple(trials), ()), scores)


@pytest.fixture(scope="module")
def tables() -> dict[str, CsvTable]:
    return analysis_tables(result_of(list(PUBLISHED), V05))


def test_uncertainty_has_a_row_for_each_submission(tables: dict[str, CsvTable]):
    found = rows(tables["uncertainty"])
    assert len(found) == 11
    first = found[0]
    assert (first["submission"], first["studies"], first["score"]) == ("shampoo_submission", "5", "0.778512")
    assert float(first["sd_with_studies"]) == pytest.approx(0.08, abs=0.025)
    assert float(first["p_rank_1"]) == pytest.approx(0.74, abs=0.1)
    assert (first["low_rank"], first["low_rank_with_studies"]) == ("1", "1")
    assert float(first["p_rank_1_with_trials"]) < 0.6
    assert float(first["low"]) < float(first["score"]) < float(first["high"])


def test_probabilities_are_for_each_way_of_drawing_and_bands_for_the_posterior(tables: dict[str, CsvTable]):
    ranks = rows(tables["rank_probabilities"])
    assert [row["by"] for row in ranks] == [way for way in WAYS for _ in range(11)]
    for row in ranks:
        assert sum(float(row[f"rank_{rank}"]) for rank in range(1, 12)) == pytest.approx(1, abs=1e-5)
    bands = rows(tables["profile_bands"])
    assert len(bands) == 11 * len(TAU)
    assert all(float(row["low"]) <= float(row["high"]) for row in bands)


def test_leaving_one_out_has_a_row_for_whatever_is_left_out(tables: dict[str, CsvTable]):
    found = rows(tables["leave_one_out"])
    assert len({(row["left_out"], row["name"]) for row in found}) == 11 + 55 + 14
    (amos,) = (row for row in found if (row["left_out"], row["name"]) == ("submission", "amos"))
    assert (amos["first"], amos["submission"]) == ("shampoo_submission", "")
    assert amos["why"] == "no rank and no workload changes hands"
    leads = next(row for row in found if row["name"] == "caspr_adaptive")
    assert (leads["first"], leads["rank_before"], leads["rank_after"]) == ("schedule_free_adamw", "2", "1")


def test_ratios_and_steps(tables: dict[str, CsvTable]):
    ratios = {(row["submission"], row["to"]): row for row in rows(tables["time_ratios"])}
    assert len(ratios) == 11 * 10
    assert round(float(ratios["shampoo_submission", "baseline"]["capped_time_ratio"]), 4) == 0.7213
    assert ratios["lawa_queue", "baseline"]["step_ratio"] == ""
    pair = ratios["shampoo_submission", "baseline"]
    assert float(pair["time_ratio_low"]) < float(pair["time_ratio"]) < float(pair["time_ratio_high"])
    assert 0.8 < float(pair["p_beats"]) <= 1
    steps = {(row["submission"], row["workload"]): row for row in rows(tables["steps_to_target"])}
    assert steps["shampoo_submission", "criteo1tb"]["steps"] == "7802"
    assert ("amos", "criteo1tb") not in steps


def test_one_study_leaves_cells_empty():
    tables = analysis_tables(result_of([trial("a", 0, "wmt", 1, 9.0), trial("b", 0, "wmt", 1, 18.0)]))
    for row in rows(tables["uncertainty"]):
        assert row["studies"] == "1"
        assert [value for name, value in row.items() if name not in ("submission", "studies", "score")] == [""] * 18
    assert all(row["rank_1"] == "" for row in rows(tables["rank_probabilities"]))
    assert all(row["low"] == "" and row["height"] != "" for row in rows(tables["profile_bands"]))


def test_one_trial_each_has_no_second_way_of_drawing():
    found = rows(
        analysis_tables(result_of([trial("a", study, "wmt", 1, 9.0 + study) for study in (0, 1)]))["uncertainty"]
    )
    assert (found[0]["p_rank_1"], found[0]["p_rank_1_with_trials"]) == ("1", "")


def test_the_uncertainty_is_computed_once_and_when_it_is_asked_for():
    result = result_of([trial("a", 0, "wmt", 1, 9.0)])
    assert "uncertainties" not in vars(result)
    assert result.uncertainties is result.uncertainties
    assert math.isnan(result.uncertainties[0].spreads[0].low)
