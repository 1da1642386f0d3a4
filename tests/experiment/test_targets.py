"""Target setting: the rule as pure functions, its two phases, its records, and a real small run of the workflow."""

import csv
import dataclasses
import importlib
import itertools
import json
import math
import re
import shutil
import statistics
import types
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from algoperf.benchmark.facts import InfrastructureError, Target, UsageError
from algoperf.benchmark.identity import make_trial, seed
from algoperf.benchmark.protocol import PROTOCOLS, TARGET_SETTING, load_protocol
from algoperf.benchmark.registry import load_spec, workload_names
from algoperf.commands import cli
from algoperf.experiment import config, plan, rerun, target_records, targets
from algoperf.experiment.targets import Evaluation, FinishedTrial
from algoperf.records import official_files
from algoperf.records.atomic import write_json
from algoperf.submission import loading
from algoperf.submission.points import as_hyperparameters, hyperparameter_points
from algoperf.trial import definition, session, setup
from tests.conftest import REPOSITORY
from tests.support import own_submissions
from tests.test_workflow import counts, snakemake

TRIAL = make_trial("mini", TARGET_SETTING, "nadamw", "pytorch", "criteo1tb", 1, 1)
GOALS = st.sampled_from(["min", "max"])
NUMBERS = st.floats(-1e6, 1e6)
ANY = st.floats(allow_nan=True, allow_infinity=True)


def run_of(*evaluations, status="budget_exhausted", study=1):
    """A run by its values on validation and test."""
    rows = tuple(Evaluation(10 * (i + 1), *values) for i, values in enumerate(evaluations))
    return FinishedTrial(dataclasses.replace(TRIAL, study=study), {"lr": 1}, 7, status, 1.0, rows, {})


def target_of(goal, has_test=True):
    return Target("loss", validation=0.0, test=0.0 if has_test else None, goal=goal)


# The rule


def test_the_published_example_of_the_rule():
    """The procedure as the benchmark's pull request 541 writes it down, of an even and of an odd number of seeds."""
    runs = [run_of((value, test)) for value, test in [(0.4, 0.5), (0.1, 0.3), (0.3, 0.1), (0.2, 0.6)]]
    assert targets.set_target(runs, target_of("min")) == Target("loss", 0.25, 0.6, "min")
    assert targets.set_target(runs[:3], target_of("min")) == Target("loss", 0.3, 0.3, "min")
    assert targets.set_target(runs[:3], target_of("max")) == Target("loss", 0.3, 0.1, "max")


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=21), GOALS)
def test_half_of_the_seeds_reach_both_targets_and_the_worst_of_them_makes_the_second(values, goal):
    runs = [run_of(pair) for pair in values]
    made = targets.set_target(runs, target_of(goal))
    reaching = targets.those_that_reach(runs, made)
    assert len(reaching) >= len(runs) / 2
    assert made.validation == statistics.median(validation for validation, _ in values)
    tests = [run.best_test(goal) for run in reaching]
    assert all(made.reached(test, "test") for test in tests)
    assert made.test in tests


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=9), GOALS, st.randoms())
def test_the_order_of_the_seeds_does_not_matter_and_a_mirrored_metric_gives_the_mirrored_target(values, goal, random):
    made = targets.set_target([run_of(pair) for pair in values], target_of(goal))
    random.shuffle(values)
    assert targets.set_target([run_of(pair) for pair in values], target_of(goal)) == made
    other = "max" if goal == "min" else "min"
    mirrored = targets.set_target([run_of((-a, -b)) for a, b in values], target_of(other))
    assert (mirrored.validation, mirrored.test) == (-made.validation, -made.test)


@given(st.lists(st.tuples(ANY, ANY), max_size=8), GOALS)
def test_a_run_has_its_best_finite_values_whatever_the_others_are(values, goal):
    run = run_of(*values)
    for found, split in ((run.best_validation(goal), 0), (run.best_test(goal), 1)):
        finite = [pair[split] for pair in values if math.isfinite(pair[split])]
        assert found == (targets.best_value(finite, goal) if finite else targets.worst_possible(goal))
    best = run.best_evaluation(goal)
    assert (best is None) == math.isinf(run.best_validation(goal))
    if best is not None:
        earlier = [e.validation for e in run.evaluations if e.step < best.step]
        assert best.validation not in earlier


@pytest.mark.parametrize(("goal", "median"), [("min", 0.3), ("max", 0.1)])
def test_a_seed_that_failed_counts_as_the_worst(goal, median):
    failed = [run_of(status="submission_error"), run_of((math.nan, 0.5), status="diverged")]
    runs = [run_of((value, value)) for value in (0.1, 0.2, 0.3)]
    made = targets.set_target([failed[0], *runs, failed[1]], target_of(goal))
    assert (made.validation, made.test) == (median, median)
    with pytest.raises(InfrastructureError, match="2 of 3 seeds have no value"):
        targets.set_target([*failed, runs[0]], target_of(goal))
    with pytest.raises(InfrastructureError, match="1 of 2 seeds"):
        targets.validation_target([0.1, math.nan], goal)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=9), GOALS)
def test_a_margin_of_one_makes_a_target_that_all_seeds_reach(values, goal):
    runs = [run_of(pair) for pair in values]
    made = targets.set_target(runs, target_of(goal), margin=1.0)
    assert targets.those_that_reach(runs, made) == runs
    assert made.validation == targets.worst_value([run.best_validation(goal) for run in runs], goal)
    assert made.test == targets.worst_value([run.best_test(goal) for run in runs], goal)


def test_a_margin_is_a_part_of_the_way_from_the_median_to_the_worst_seed():
    assert targets.validation_target([0.1, 0.5, 0.2], "min", 0.5) == pytest.approx(0.35)
    assert targets.validation_target([0.1, 0.5, 0.2], "max", 2.0) == pytest.approx(0.0)
    assert targets.validation_target([0.1, math.inf, 0.2], "min") == 0.2
    with pytest.raises(InfrastructureError, match="1 of 3 seeds have no value"):
        targets.validation_target([0.1, math.nan, 0.2], "min", 1.0)


def test_a_seed_that_reaches_the_target_without_a_test_value_makes_none():
    with pytest.raises(InfrastructureError, match="no test value"):
        targets.set_target([run_of((0.1, math.nan))], target_of("min"))


def test_a_workload_without_a_test_split_has_no_test_target():
    runs = [run_of((value, None)) for value in (3.0, 1.0, 2.0)]
    assert targets.set_target(runs, target_of("min", has_test=False)) == Target("loss", 2.0, None, "min")


@given(st.lists(st.lists(st.tuples(ANY, ANY), max_size=3), min_size=1, max_size=8), GOALS)
def test_the_best_of_a_search_is_the_first_of_the_best(searched, goal):
    runs = [run_of(*values) for values in searched]
    values = [run.best_validation(goal) for run in runs]
    if not any(map(math.isfinite, values)):
        with pytest.raises(InfrastructureError, match="none of the "):
            targets.best_run(runs, goal)
        return
    best = targets.best_run(runs, goal)
    assert best is runs[values.index(targets.best_value(values, goal))]
    ranked = [run.best_validation(goal) for run in targets.ranked(runs, goal)]
    assert ranked == sorted(values, reverse=goal == "max")


@given(st.floats(1e-6, 1e6) | st.floats(-1e6, -1e-6) | st.just(0.0), GOALS)
def test_rounding_makes_a_target_easier_by_less_than_a_hundredth_and_once(value, goal):
    made = targets.rounded(Target("loss", value, value, goal))
    assert made.reached(value, "validation")
    assert made.validation == pytest.approx(value, rel=0.01)
    assert made.test == made.validation
    assert targets.rounded(made) == made
    assert len(f"{made.validation:.15g}".replace("-", "").replace(".", "").strip("0").split("e")[0]) <= targets.DIGITS


# Planning


def make(**content):
    entry = {"name": "nadamw", "framework": "jax"}
    return config.parse({"protocol": "mini", "submissions": [entry], "workloads": ["criteo1tb"], **content})


def test_the_search_and_the_repeats_are_trials_with_seeds_of_their_own():
    asked = make(submissions=[{"name": name, "framework": "pytorch"} for name in ("nadamw", "adamw")])
    search = plan.target_search(asked)["criteo1tb"]
    assert [(t.label, t.study, t.trial) for t in search] == [
        (label, 0, k) for label in ("nadamw_pytorch", "adamw_pytorch") for k in (1, 2, 3)
    ]
    repeats = plan.target_repeats(asked, search[5])
    assert [(t.label, t.study, t.trial) for t in repeats] == [("adamw_pytorch", k, 3) for k in (1, 2, 3, 4, 5)]
    seeds = {seed(t.protocol, t.label, t.workload, t.study, t.trial) for t in (*search, *repeats)}
    assert len(seeds) == len({t.folder for t in (*search, *repeats)}) == 11
    assert str(repeats[0].folder) == "mini/target_setting/adamw_pytorch/study_1/criteo1tb_pytorch/trial_3"


def test_the_full_scale_has_the_published_numbers():
    full = config.load(REPOSITORY / "config" / "targets_full.yaml")
    search = plan.target_search(full)
    assert len(search["wmt"]) == 4 * 200
    assert len(plan.target_repeats(full, search["wmt"][0])) == 20
    assert load_protocol("v0.6").target_setting_steps(load_spec("fastmri")) == int(0.75 * 18_094)
    assert {t.label for t in search["wmt"]} == {f"{name}_jax" for name in ("adamw", "nadamw", "nesterov", "momentum")}


def test_a_config_may_ask_for_less_than_the_protocol_but_not_for_more():
    asked = make(target_setting={"points": 2, "seeds": 3})
    search = plan.target_search(asked)["criteo1tb"]
    assert [t.trial for t in search] == [1, 2]
    assert len(plan.target_repeats(asked, search[0])) == 3
    assert (
        plan.points(asked, [TARGET_SETTING])["nadamw_jax", TARGET_SETTING, "criteo1tb", 0]
        == (plan.points(make(), [TARGET_SETTING])["nadamw_jax", TARGET_SETTING, "criteo1tb", 0][:2])
    )


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"target_setting": {"points": 4}}, r"target_setting\.points is 4, but protocol mini has 3"),
        ({"target_setting": {"seeds": 0}}, r"'target_setting\.seeds'.*greater than or equal to 1"),
        ({"target_setting": {"seds": 2}}, r"'target_setting\.seds'; the keys are points, seeds"),
        ({"rulesets": ["target_setting"]}, "'external' or 'self'"),
    ],
)
def test_a_wrong_config_is_one_sentence(content, names):
    with pytest.raises(UsageError, match=names):
        make(**content)


def set_up(tmp_path, data_dir, max_steps=None, **changes):
    identity = dataclasses.replace(TRIAL, study=0, **changes)
    return setup.set_up(identity, tmp_path, data_dir, max_steps)


def test_a_trial_goes_by_steps_and_has_no_target_to_stop_at(tmp_path, data_dir):
    ready = set_up(tmp_path, data_dir)
    assert ready.workload.step_hint == ready.max_steps == int(0.45 * 240)
    assert (ready.max_runtime, ready.evaluated_every) == (math.inf, 18)
    assert not ready.workload.has_reached_validation_target({"validation/loss": -1e300})
    assert not ready.workload.has_reached_test_target({"test/loss": -1e300})
    assert set_up(tmp_path, data_dir, max_steps=5).max_steps == 5
    maximised = definition.spec_of(dataclasses.replace(TRIAL, workload="ogbg"))
    assert not maximised.target.reached(1e300, "validation")
    assert definition.spec_of(dataclasses.replace(TRIAL, workload="finewebedu_lm")).target.test is None


@pytest.mark.usefixtures("few_evaluated")
def test_a_killed_trial_goes_on_to_the_same_values_at_any_speed(tmp_path, data_dir):
    def rows(out, seconds, killed_at=None):
        """A clock that goes on by so many seconds whenever it is asked."""

        def report(state):
            if state.global_step == killed_at:
                raise RuntimeError("killed")

        found = dataclasses.replace(set_up(out, data_dir), max_steps=8, evaluated_every=3)
        session.execute(found, report, now=itertools.count(step=seconds).__next__)
        return target_records.read_run(out).evaluations

    whole = rows(tmp_path / "whole", 1.0)
    assert [evaluation.step for evaluation in whole] == [3, 6, 8]
    with pytest.raises(RuntimeError, match="killed"):
        rows(tmp_path / "killed", 1e-3, killed_at=6)
    assert rows(tmp_path / "killed", 1e6) == whole
    assert json.loads((tmp_path / "killed" / official_files.RESULT).read_text())["preemptions"] == 1


@pytest.mark.parametrize(
    ("changes", "names"), [({"trial": 4}, "its trials are 1 to 3"), ({"study": 6}, "its studies are 0 to 5")]
)
def test_a_trial_that_is_not_planned_is_refused(tmp_path, data_dir, changes, names):
    identity = dataclasses.replace(TRIAL, **changes)
    with pytest.raises(UsageError, match=names):
        setup.set_up(identity, tmp_path, data_dir)


# The published points


def published(workload, ruleset="external", protocol="v0.6"):
    path = loading.find("target_setting", "jax")
    return hyperparameter_points(path, load_protocol(protocol), ruleset, workload)


def test_every_workload_and_variant_of_v06_has_one_published_point():
    names = [name for name in workload_names() if name != "finewebedu_lm"]
    assert list(json.loads((loading.SUBMISSIONS / "target_setting" / "points.json").read_text())) == sorted(names)
    for name in names:
        (point,) = published(name)
        is_momentum = point["algorithm"] in ("nesterov", "momentum")
        assert is_momentum == ("end_factor" in point) == ("decay_steps_factor" in point) == ("beta2" not in point)
    assert published("wmt")[0]["beta2"] == 0.995515969
    assert published("ogbg", "external", "v0.5")[0]["algorithm"] == "nesterov"


def test_a_workload_without_a_published_point_is_told_which_have_one():
    with pytest.raises(UsageError, match=r"no point for finewebedu_lm; it has points for criteo1tb, criteo1tb_embed"):
        published("finewebedu_lm")
    with pytest.raises(UsageError, match="target setting has found"):
        published("wmt", TARGET_SETTING)


def test_published_points_are_planned_by_workload():
    planned = make(submissions=[{"name": "target_setting", "framework": "jax"}], workloads=["wmt", "ogbg"])
    assert [(t.workload, t.trial) for t in plan.trials(planned)] == [("wmt", 1), ("ogbg", 1)]
    found = plan.points(planned, ["external"])
    assert found["target_setting_jax", "external", "wmt", 0] == published("wmt")


@pytest.mark.parametrize(
    ("workload", "kind", "nesterov"),
    [("wmt", "NAdamW", None), ("ogbg", "SGD", True), ("imagenet_resnet", "SGD", False)],
)
def test_a_published_point_is_run_by_its_algorithm_over_three_quarters_of_the_steps(workload, kind, nesterov):
    (point,) = published(workload)
    module = importlib.import_module("submissions.target_setting.pytorch")
    hyperparameters = as_hyperparameters(point)
    whole = types.SimpleNamespace(step_hint=load_spec(workload).budget["v0.6"].step_hint)
    optimizer, schedule = module.optimizer(torch.nn.Linear(1, 1), hyperparameters, whole)
    group = optimizer.param_groups[0]
    assert (type(optimizer).__name__, group.get("nesterov")) == (kind, nesterov)
    assert (group["lr"], group["weight_decay"]) == (point["learning_rate"], point["weight_decay"])
    assert group.get("momentum", point["beta1"]) == point["beta1"]
    assert group.get("betas", (point["beta1"], None))[0] == point["beta1"]
    end = int(0.75 * whole.step_hint)
    assert schedule(point["warmup_steps"]) == 1
    assert schedule(end) == pytest.approx(point.get("end_factor", 0.0))
    if kind == "NAdamW":
        assert schedule(end - 100) > schedule(end)
    in_jax = importlib.import_module("submissions.target_setting.jax").optimizer(hyperparameters, whole)
    parameters = {"w": np.ones(3, np.float32)}
    updates, _ = in_jax.update(parameters, in_jax.init(parameters), parameters)
    assert np.all(np.asarray(updates["w"]) == 0)  # the warm-up begins at a rate of 0


# Records


def results_of(tmp_path, values, study=0, trial=1, label="nadamw_pytorch", **changes):
    """A finished trial's files, as the loop writes them."""
    identity = dataclasses.replace(TRIAL, study=study, trial=trial, label=label)
    path = tmp_path / identity.folder
    path.mkdir(parents=True)
    rows = [
        {"global_step": 10 * (i + 1), "validation/loss": validation, "test/loss": test}
        for i, (validation, test) in enumerate(values)
    ]
    official_files.Table(path / official_files.EVALUATIONS).append(rows)
    result = {"status": "budget_exhausted", "charged_time": 2.0, "seed": study, "hyperparameters": {"lr": trial}}
    result |= {"versions": {"torch": "1"}, "accelerator": "local", "hardware": {}, **changes}
    write_json(path / "meta_data_0.json", {"git_commit_hash": "abc"})
    write_json(path / official_files.RESULT, {**dataclasses.asdict(identity), **result})
    return path


@pytest.fixture
def searched(tmp_path):
    results_of(tmp_path, [(0.5, 0.4), (0.3, 0.3)])
    results_of(tmp_path, [(0.2, 0.9)], trial=2)
    results_of(tmp_path, [], trial=3, status="out_of_memory")
    results_of(tmp_path, [(0.1, 0.1)], trial=4)
    results_of(tmp_path, [(0.01, 0.1)], label="other_pytorch")
    return tmp_path


def test_a_refused_trial_has_no_value(tmp_path):
    path = results_of(tmp_path, [(0.1, 0.1)], status="submission_error", refused="the submission changed the model.")
    assert target_records.read_run(path).evaluations == ()


def test_the_best_point_is_of_the_contestants_and_points_that_are_asked_for(searched):
    runs = target_records.read_search(searched, "mini", "criteo1tb", ["nadamw_pytorch"], points=3)
    best = searched / "best.json"
    target_records.write_best_point(runs, best)
    assert target_records.best_trial(best) == dataclasses.replace(TRIAL, study=0, trial=2)
    found = [(row["trial"], row["validation"], row["status"]) for row in json.loads(best.read_text())["search"]]
    assert found == [(2, 0.2, "budget_exhausted"), (1, 0.3, "budget_exhausted"), (3, None, "out_of_memory")]
    with pytest.raises(UsageError, match="no trials of target setting on wmt by nadamw_pytorch"):
        target_records.read_search(searched, "mini", "wmt", ["nadamw_pytorch"], points=3)


def test_a_record_has_the_target_and_all_that_made_it(searched):
    best = searched / "best.json"
    target_records.write_best_point(
        target_records.read_search(searched, "mini", "criteo1tb", ["nadamw_pytorch"], points=3), best
    )
    results_of(searched, [(0.21234, 0.5), (0.3, 0.41234)], study=1, trial=2)
    results_of(searched, [(0.1, 0.2)], study=2, trial=2, charged_time=6.0)
    results_of(searched, [(0.25, 0.3)], study=3, trial=2, versions={"torch": "2"})
    record = target_records.write_record(best, searched, 3, searched / "record.json")
    assert target_records.read_record(searched / "record.json") == record
    assert record["target"] == {
        "validation": pytest.approx(0.221755),
        "test": 0.41234,
    }  # a quarter of the way to the worst
    assert record["rounded"] == {"validation": 0.222, "test": 0.413}
    assert [seed["reaches"] for seed in record["seeds"]] == [True, True, False]
    first = record["seeds"][0]
    assert (first["step"], first["test"], first["test_at_best_validation"]) == (10, 0.41234, 0.5)
    assert first["curve"] == [[10, 0.21234], [20, 0.3]]
    assert record["made_by"]["commit"] == ["abc"]
    assert record["made_by"]["versions"] == [{"torch": "1"}, {"torch": "2"}]
    assert record["max_runtime"] == pytest.approx(2.0 / load_protocol("mini").target_setting.fraction)
    target_records.write_table([record], searched / "targets.csv")
    (row,) = csv.DictReader((searched / "targets.csv").open())
    assert (row["workload"], row["validation"], row["seeds"], row["reaching"]) == (
        "criteo1tb",
        str(record["target"]["validation"]),
        "3",
        "2",
    )


def test_what_is_missing_or_damaged_is_one_sentence(searched):
    best = searched / "best.json"
    target_records.write_best_point(
        target_records.read_search(searched, "mini", "criteo1tb", ["nadamw_pytorch"], points=3), best
    )
    with pytest.raises(InfrastructureError, match=r"study_1/.*result\.json is missing: the trial has no result yet"):
        target_records.write_record(best, searched, 1, searched / "record.json")
    path = results_of(searched, [(0.2, 0.2)], study=1, trial=2)
    (path / official_files.EVALUATIONS).write_text("global_step,validation/loss\nten,0.1\n")
    with pytest.raises(InfrastructureError, match="trial_2 is damaged: ValueError"):
        target_records.write_record(best, searched, 1, searched / "record.json")
    assert not (searched / "record.json").exists()
    (searched / "best.json").write_text("{")
    with pytest.raises(InfrastructureError, match=r"best\.json is damaged"):
        target_records.best_trial(best)
    with pytest.raises(UsageError, match="no record of a target"):
        write_json(searched / "other.json", {})
        target_records.read_record(searched / "other.json")


@pytest.mark.parametrize(
    ("arguments", "code", "names"),
    [
        (
            ["best", "wmt", "--protocol", "mini", "--submissions", "a_jax", "--points", "2"],
            2,
            "no trials of target set",
        ),
        (["set", "none.json", "--seeds", "2"], 1, "none.json cannot be read"),
        (["set", "none.json", "--seeds", "0"], 2, "Invalid value for '--seeds'"),
    ],
)
def test_a_wrong_command_is_one_sentence_and_writes_nothing(arguments, code, names, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["algoperf", "targets", *arguments, "--out", str(tmp_path / "out" / "x.json")])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == code
    assert names in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


RECORDS = sorted(REPOSITORY.glob("workloads/*/mini_target.json"))


def test_every_mini_workload_has_a_record():
    assert {path.parent.name for path in RECORDS} == {*PROTOCOLS["mini"].workloads}


@pytest.mark.parametrize("path", RECORDS, ids=[path.parent.name for path in RECORDS])
def test_the_target_of_a_mini_workload_is_the_recorded_one(path):
    """Rounded towards easier, and made of the seeds that the record has."""
    record = target_records.read_record(path)
    target = load_spec(path.parent.name, "mini").target
    assert record["workload"] == path.parent.name
    assert (target.metric, target.goal) == (record["metric"], record["goal"])
    assert {"validation": target.validation, "test": target.test} == record["rounded"]
    values = [seed["validation"] for seed in record["seeds"]]
    rule = PROTOCOLS["mini"].target_setting
    values = [math.nan if value is None else value for value in values]
    assert targets.validation_target(values, record["goal"], rule.margin) == record["target"]["validation"]
    assert len(values) == rule.seeds
    assert record["steps"] == int(rule.fraction * record["step_hint"])
    assert record["step_hint"] == load_spec(path.parent.name, "mini").budget["mini"].step_hint


# The workflow

LANDING = pytest.mark.landing("workflows that are run whole")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory, data_dir):
    """Two points of one submission and two seeds, by the real workflow; each trial stops after two steps."""
    folder = tmp_path_factory.mktemp("targets")
    own_submissions.write_two_steps(folder / "quick", (0.01, 0.02))
    content = {
        "protocol": "mini",
        "submissions": [{"name": str(folder / "quick"), "framework": "pytorch"}],
        "workloads": ["criteo1tb"],
        "target_setting": {"points": 2, "seeds": 2},
        "data_dir": str(data_dir),
        "results_dir": str(folder / "results"),
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    found = snakemake("targets", "--configfile", folder / "config.yaml", directory=folder)
    assert found.returncode == 0, found.stderr
    return folder, found


def read_made(folder):
    return target_records.read_record(folder / "results" / "mini" / "targets" / "criteo1tb.json")


@LANDING
def test_both_phases_run_and_end_in_a_target_a_table_and_a_picture(experiment):
    folder, found = experiment
    made = read_made(folder)
    results = {path.parent for path in folder.glob("results/mini/target_setting/**/result.json")}
    studies = sorted((path.parent.parent.name, path.name) for path in results)
    best = f"trial_{made['trial']}"
    assert studies == [("study_0", "trial_1"), ("study_0", "trial_2"), ("study_1", best), ("study_2", best)]
    values = [seed["validation"] for seed in made["seeds"]]
    margin = load_protocol("mini").target_setting.margin
    assert made["target"]["validation"] == targets.validation_target(values, "min", margin) > statistics.median(values)
    assert len({seed["seed"] for seed in made["seeds"]}) == 2
    assert made["made_by"]["commit"][0]
    assert re.search(r"criteo1tb +│ loss +│", found.stdout)
    names = {path.name for path in (folder / "results" / "mini" / "targets").iterdir()}
    assert names == {"best_points", "criteo1tb.json", "targets.csv", "targets.svg", "targets.png"}


@LANDING
def test_finished_target_setting_has_nothing_to_do_and_a_lost_repeat_alone_is_run_again(experiment):
    folder, _ = experiment
    arguments = ("targets", "--configfile", folder / "config.yaml", "-n")
    found = snakemake(*arguments, directory=folder)
    assert "Nothing to be done" in found.stdout + found.stderr
    path = folder / "results" / "mini" / "target_setting" / "quick_pytorch" / "study_2"
    path.rename(folder / "aside")
    planned = counts(snakemake(*arguments, directory=folder))
    (folder / "aside").rename(path)
    assert planned == {"trial_criteo1tb": 1, "target": 1, "target_table": 1, "targets": 1, "total": 4}


@LANDING
def test_its_trials_are_known_to_status_and_rerun(experiment):
    folder, _ = experiment
    checked = config.load(folder / "config.yaml")
    known = target_records.begun_trials(checked, folder / "results")
    assert len(known) == 4
    assert target_records.begun_trials(checked, folder / "elsewhere") == []
    moved = rerun.rerun(checked, folder / "results", None, ["target_setting/quick/study_2"])
    assert [path.parent.parent.name for path in moved] == ["study_2"]
    shutil.move(moved[0], folder / "results" / Path(*moved[0].parts[-6:]))
