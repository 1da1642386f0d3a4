"""The tables of what a reader asks next, of small trials by hand: rows, numbers, and what stays empty."""

import dataclasses
import math

import pytest

from scoring.logs.curves import Curve
from scoring.logs.record import Record
from scoring.logs.trials import Logs, Trial
from scoring.result import Result
from scoring.rules.score import score_trials
from scoring.tables.answers import answer_tables
from scoring.tables.tables import CsvTable
from tests.support.scoring_logs import SMALL

WMT = dataclasses.replace(SMALL, workloads=("wmt",), held_out=())  # BLEU, the higher the better
TARGET = 30.8491


def trial(submission: str, study: int, values: list[float], **facts) -> Trial:
    times = [100.0 * k for k in range(1, 1 + len(values))]
    hits = [row for row, value in enumerate(values) if value >= TARGET]
    hit = {}
    if hits:
        time = times[hits[0]]
        hit = dict(hit_time=time, hit_row=hits[0], hit_row_time=time, hit_step=10.0 * (1 + hits[0]))
    curve = Curve(times, [time / 10 for time in times], values)
    path = f"{submission}/study_{study}/wmt_jax/trial_1"
    identity = (submission, f"study_{study}", "wmt", "jax", "trial_1", path, len(values))
    return Trial(*identity, **hit, curve=curve, end_time=times[-1], **facts)


@pytest.fixture(scope="module")
def tables() -> dict[str, CsvTable]:
    record = Record(
        hardware="4 x GPU", machine="4 x GPU", software={"python": "3.11", "platform": "Linux", "jax": "0.10"}
    )
    trials = (
        trial("a", 0, [20.0, 31.0], total_time=400.0, eval_time=100.0, test_time=200.0, record=record),
        trial("a", 1, [20.0, 25.0, 31.0], total_time=600.0, eval_time=100.0, test_time=math.inf, record=record),
        trial("b", 0, [10.0, 30.0]),
        trial("b", 1, [10.0, math.nan, 29.0]),
    )
    scores = score_trials(trials, WMT, "as-documented")
    return answer_tables(Result("logs", "external", Logs(trials, ()), scores))


def rows(table: CsvTable) -> list[dict[str, str]]:
    return [dict(zip(table.header, map(str, row), strict=True)) for row in table.rows]


def test_how_close(tables: dict[str, CsvTable]):
    met, missed = rows(tables["closest"])
    assert (met["submission"], met["best_value"], met["studies_reached"], met["trials_reached"]) == (
        "a",
        "31",
        "2",
        "2",
    )
    assert float(met["gap"]) == pytest.approx(TARGET - 31, abs=1e-6)
    assert (missed["best_value"], missed["best_seconds"], missed["best_step"]) == ("30", "200.000", "20")
    assert missed["path"] == "b/study_0/wmt_jax/trial_1"
    assert float(missed["gap"]) == pytest.approx(TARGET - 29.5, abs=1e-6)
    assert float(missed["share"]) == pytest.approx((TARGET - 29.5) / TARGET, abs=1e-6)


def test_what_it_cost(tables: dict[str, CsvTable]):
    known, unknown = rows(tables["cost"])
    assert float(known["charged_hours"]) == pytest.approx(500 / 3600, abs=1e-6)
    assert float(known["wall_hours"]) == pytest.approx(1000 / 3600, abs=1e-6)
    assert (known["eval_share"], known["step_seconds"], known["test_seconds"]) == ("0.2", "10", "inf")
    assert (unknown["trials"], unknown["timed_trials"]) == ("2", "0")
    assert {unknown[name] for name in ("wall_hours", "eval_share", "accelerator_hours", "test_seconds")} == {""}
    first, second = rows(tables["tuning"])
    assert (first["hardware"], first["software"]) == ("4 x GPU", "python 3.11, jax 0.10")
    assert float(first["accelerator_hours"]) == pytest.approx(4000 / 3600, abs=1e-6)
    assert (second["hardware"], second["software"]) == ("", "")


def test_other_rules_have_a_row_for_each_submission(tables: dict[str, CsvTable]):
    found = rows(tables["alternatives"])
    assert {row["submission"] for row in found} == {"a", "b"}
    assert {row["rule"] for row in found} >= {"as scored", "by steps", "without the 4x rule", "tau_max 2"}
    assert {row["rank"] for row in found if row["submission"] == "a"} == {"1"}


def test_bands_are_of_both_axes_and_in_order(tables: dict[str, CsvTable]):
    found = rows(tables["curve_bands"])
    for submission in "ab":
        for against in ("seconds", "steps"):
            of_line = [row for row in found if (row["submission"], row["against"]) == (submission, against)]
            places = [float(row["at"]) for row in of_line]
            assert places == sorted(places)
            assert {row["studies"] for row in of_line} == {"2"}
            assert all(float(row["low"]) <= float(row["median"]) <= float(row["high"]) for row in of_line)


def test_how_much_there_is(tables: dict[str, CsvTable]):
    found = {row["what"]: row["value"] for row in rows(tables["summary"])}
    assert (found["submissions"], found["workloads"], found["trials"], found["evaluations"]) == ("2", "1", "4", "10")
    smallest, largest = found["smallest difference of a pair"], found["largest of the smallest differences"]
    assert 0 < float(smallest) <= float(found["smallest difference, median pair"]) <= float(largest)
