"""Metadata is believed: logs of another version of the benchmark say so, with the version that fits."""

import dataclasses
import json
from pathlib import Path

import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.protocol import PROTOCOLS, load_protocol
from algoperf.benchmark.registry import load_spec
from scoring.command import score_logs
from scoring.logs import terms
from scoring.logs.checks import budgets, by_hardware, loose_trials, other_terms, stated_terms
from scoring.logs.published import LEADERBOARDS
from scoring.logs.read import read_logs
from scoring.logs.record import Record
from scoring.logs.terms import Terms, terms_of
from scoring.logs.trials import Trial
from tests.support.scoring_logs import trial

A100 = {"gpu_model_name": "NVIDIA A100-SXM4-40GB", "gpu_count": 4}
OF_A100 = {  # as the official metadata of fastmri on A100 state them
    "workload.max_allowed_runtime_sec": 2745,
    "workload.eval_period_time_sec": 110,
    "workload.step_hint": 18094,
    "workload.target_metric_name": "ssim",
    "workload.validation_target_value": 0.7236530000000001,
    "workload.test_target_value": 0.740633,
}


def write(root: Path, metadata: dict, submission: str = "a", studies: int = 3, seconds: float = 3_000) -> None:
    for study in range(studies):
        folder = root / submission / f"study_{study}" / "fastmri_jax" / "trial_1"
        folder.mkdir(parents=True)
        lines = ("score,global_step,validation/ssim", "100.0,1,0.5", f"{seconds},9,0.8")
        (folder / "eval_measurements.csv").write_text("\n".join(lines) + "\n")
        (folder / "meta_data_0.json").write_text(json.dumps(metadata))


def score(root: Path, protocol: str, out: Path, **options):
    return score_logs(root, protocol, "self", "as-documented", out, **options)


def test_logs_of_the_protocol_have_no_caveat(tmp_path: Path):
    write(tmp_path / "logs", {**A100, **OF_A100})
    assert score(tmp_path / "logs", "v0.6-a100", tmp_path / "out").caveats == ()


def test_logs_of_another_protocol_say_which_fits_and_have_their_own_budget(tmp_path: Path):
    write(tmp_path / "logs", {**A100, **OF_A100})
    result = score(tmp_path / "logs", "v0.6", tmp_path / "out")
    assert result.caveats == (
        "these logs state other terms than v0.6: budget (fastmri 2,745 s, not 4,430 s), evaluation period (fastmri "
        "110 s, not 80 s); protocol v0.6-a100 fits",
    )
    assert result.caveat in (tmp_path / "out" / "caveats.txt").read_text()
    assert result.budgets["fastmri"] == 1.5 * 2_745
    assert result.budgets["wmt"] == 1.5 * 43_336  # of which the logs say nothing
    assert f"{1.5 * 2_745:g},,{3_000 / (1.5 * 2_745):.6f}" in (tmp_path / "out" / "budget.csv").read_text()
    whats = [finding.what for finding in result.logs.findings]
    assert "budget of fastmri: 2,745 s in 3 of 3 trials, 4,430 s in protocol v0.6" in whats


def test_a_hit_is_late_by_the_budget_of_the_logs_and_not_by_that_of_the_protocol(tmp_path: Path):
    """8,000 s are past v0.6's budget under self-tuning, and not past v0.5's, of which these logs are."""
    of_v05 = {"workload.max_allowed_runtime_sec": 8859, "workload.step_hint": 36189}
    write(tmp_path / "early", of_v05, seconds=8_000)
    write(tmp_path / "late", of_v05, seconds=3 * 8_859 + 1)
    for name, late in (("early", False), ("late", True)):
        result = score(tmp_path / name, "v0.6", tmp_path / "out")
        assert result.budgets["fastmri"] == 3 * 8_859  # v0.5 trains three times as long
        assert any("past the budget" in finding.what for finding in result.logs.findings) == late
        assert result.caveat.endswith("protocol v0.5 fits")


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"workload.validation_target_value": 0.7}, "validation target (fastmri 0.7, not 0.723653)"),
        ({"workload.target_metric_name": "loss"}, "metric (fastmri loss, not ssim)"),
        ({"workload.step_hint": 9}, "step hint (fastmri 9, not 18,094)"),
        ({"workload.test_target_value": 0.5}, "test target (fastmri 0.5, not 0.740633)"),
    ],
)
def test_what_fits_no_protocol_is_said(tmp_path: Path, changed: dict, what: str):
    write(tmp_path / "logs", {**OF_A100, **changed})
    caveat = score(tmp_path / "logs", "v0.6-a100", tmp_path / "out").caveat
    assert caveat == f"these logs state other terms than v0.6-a100: {what}; no protocol fits"


def test_a_few_trials_that_differ_are_counted(tmp_path: Path):
    write(tmp_path, OF_A100)
    odd = tmp_path / "a" / "study_1" / "fastmri_jax" / "trial_1" / "meta_data_0.json"
    odd.write_text(json.dumps({**OF_A100, "workload.max_allowed_runtime_sec": 4430}))
    found = read_logs(tmp_path, load_protocol("v0.6-a100"), "self")
    whats = [finding.what for finding in found.findings if finding.path == "."]
    assert whats == ["budget of fastmri: 4,430 s in 1 of 3 trials, 2,745 s in protocol v0.6-a100"]
    assert budgets(found.trials, load_protocol("v0.6-a100"), "self")["fastmri"] == 1.5 * 2_745


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda protocol: protocol.name)
def test_what_a_protocol_says_fits_it_and_differs_from_none_of_itself(protocol):
    trials = [
        Trial("a", "study_0", name, "jax", "trial_1", "", 1, record=Record(terms=terms_of(name, protocol)))
        for name in (*protocol.workloads, *protocol.held_out)
    ]
    assert other_terms(trials, protocol) == []
    assert terms.fitting(stated_terms(trials), protocol.scale) == [protocol]


def test_a_protocol_has_the_facts_of_the_benchmark_as_it_is_run_today():
    protocol = load_protocol("v0.6-a100")
    assert len(protocol.workloads) == 9
    assert terms_of("criteo1tb", protocol) == Terms(8_915, 356, 10_666, "loss", 0.123735, 0.126041)
    assert terms_of("finewebedu_lm", protocol) == Terms(31_967, 2_571, 72_000, "ppl", 22.2995, None)
    assert protocol.max_runtime(load_spec("wmt"), "self") == 1.5 * 16_114


# Hardware


def test_official_logs_of_unlike_machines_are_not_mixed(tmp_path: Path):
    write(tmp_path / "logs", A100)
    write(tmp_path / "logs", {"gpu_model_name": "Tesla V100-SXM2-16GB", "gpu.count": 8}, submission="b")
    with pytest.raises(UsageError, match="3 on 4 x NVIDIA A100-SXM4-40GB, 3 on 8 x Tesla V100-SXM2-16GB"):
        score(tmp_path / "logs", "v0.6", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    allowed = score(tmp_path / "logs", "v0.6", tmp_path / "out", allow_mixed_hardware=True)
    assert "mixed hardware: 2 kinds" in allowed.caveats


def test_a_machine_whose_memory_is_not_said_is_like_the_one_whose_is():
    names = ["4 x A100", "4 x A100, 40 GiB", "4 x A100, 40 GiB", "8 x A100"]
    trials = [Trial("a", "s", "wmt", "jax", name, "", 1, record=Record(hardware=name)) for name in names]
    protocol = load_protocol("v0.6")
    assert {kind: len(of) for kind, of in by_hardware(trials, protocol).items()} == {
        "4 x A100, 40 GiB": 3,
        "8 x A100": 1,
    }
    other = Trial("b", "s", "wmt", "jax", "9", "", 1, record=Record(hardware="4 x A100, 80 GiB"))
    assert len(by_hardware([*trials, other], protocol)) == 4  # which of the two it is like nobody says


@pytest.mark.parametrize(
    ("kind", "names"),
    [("8 x Tesla V100-SXM2-16GB", {"v0.5-external", "v0.5-self", "v0.6-external"}), ("4 x A100", {"v0.6-a100-self"})],
)
def test_which_leaderboards_ran_on_a_machine(kind: str, names: set[str]):
    assert {name for name, leaderboard in LEADERBOARDS.items() if leaderboard.ran_on(kind)} == names


# Points


def with_points(*points: str) -> list[Trial]:
    return [dataclasses.replace(trial("a", study, "wmt", 1, 9.0), point=point) for study, point in enumerate(points)]


def test_a_trial_number_is_one_point_or_it_is_said():
    v06 = load_protocol("v0.6")
    assert loose_trials(with_points('{"a": 1, "b": 2}', '{"b": 2, "a": 1}'), v06, "external") == {}
    assert loose_trials(with_points('{"a": 1}', '{"a": 2}', "cut {"), v06, "external") == {"a": {"trial_1": 3}}
    # Where points are dealt, studies have points of their own.
    assert loose_trials(with_points("1", "1"), load_protocol("v0.6-a100"), "external") == {"a": {}}
    assert loose_trials(with_points("1", "1"), load_protocol("v0.6-a100"), "self") == {}


def test_nadamp_of_v05_has_two_points_under_one_number():
    found = read_logs("published:v0.5-external", load_protocol("v0.5"), "external")
    (finding,) = (finding for finding in found.findings if "hyperparameter points" in finding.what)
    assert finding.path == "nadamp"
    assert finding.what == "trial_1 is 2 hyperparameter points, over its studies and workloads"
