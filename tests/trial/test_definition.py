"""What a trial computes: what another point, code, budget or limit makes of it, in words."""

import dataclasses
import json
import math
import re

import pytest

from algoperf.benchmark.facts import FrameworkSettings, UsageError
from algoperf.benchmark.identity import make_trial
from algoperf.benchmark.protocol import PROTOCOLS
from algoperf.machine.cluster import Accelerator
from algoperf.trial.definition import define, defined

TRIAL = make_trial("mini", "external", "nadamw", "pytorch", "criteo1tb", 0, 1)
A100 = Accelerator(device="A100", count=4)


@pytest.fixture
def recorded():
    """As JSON has it."""
    return json.loads(json.dumps(define(TRIAL).record, allow_nan=False))


def test_a_trial_is_what_it_computes_and_not_where_its_submission_lies(recorded):
    path = define(dataclasses.replace(TRIAL, submission="submissions/nadamw/pytorch.py"))
    assert path.difference(recorded, is_finished=True) == path.difference(recorded, is_finished=False) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"point": {"learning_rate": 1.0}}, r"other hyperparameters \(learning_rate 0.005, now 1.0, and 4 more\)"),
        ({"max_runtime": 30.0}, r"another budget \(3600.0 s, now 30.0 s\)"),
        ({"max_steps": 5}, "no limit of steps"),
        ({"settings": FrameworkSettings(tf32=False)}, r"other settings of the framework \(tf32 not there, now False\)"),
    ],
)
def test_another_value_is_another_trial_and_is_said(recorded, changes, words):
    wanted = dataclasses.replace(define(TRIAL), **changes)
    assert re.fullmatch(words, wanted.difference(recorded, is_finished=True))


def test_the_last_digits_of_a_point_are_the_machines_own_and_its_type_is_not(recorded):
    definition = define(TRIAL)
    rate = definition.point["learning_rate"]
    near = dataclasses.replace(definition, point={**definition.point, "learning_rate": math.nextafter(rate, 1.0)})
    assert near.difference(recorded, is_finished=True) == ""
    for was, now in ((1, 1.0), (1, True), (0, None)):
        said = dataclasses.replace(definition, point={"x": now}).difference(
            {**recorded, "hyperparameters": {"x": was}}, is_finished=True
        )
        assert said.startswith("other hyperparameters (x ")


def test_a_limit_of_steps_is_another_trial(recorded):
    assert define(TRIAL).difference({**recorded, "max_steps": 3}, is_finished=True) == "a limit of 3 steps"


def test_changed_files_are_named(recorded):
    files = {**recorded["submission_files"], "helper.py": "0", "pytorch.py": "0"}
    other = {**recorded, "submission_sha256": "0", "submission_files": files}
    said = define(TRIAL).difference(other, is_finished=True)
    assert said == "another content of the submission (helper.py, pytorch.py)"


def test_another_budget_or_target_of_the_benchmark_is_another_trial(recorded, monkeypatch):
    mini = PROTOCOLS["mini"]
    own = make_trial("mini", "self", "nadamw", "pytorch", "criteo1tb", 0, 1)
    before = define(own).record
    monkeypatch.setitem(PROTOCOLS, "mini", dataclasses.replace(mini, self_tuning_factor=2.0))
    assert define(own).difference(before, is_finished=True).startswith("another budget")
    assert define(TRIAL).difference(recorded, is_finished=True) == ""
    assert define(TRIAL).difference({**recorded, "workload_sha256": "0"}, is_finished=True) == (
        "other values of the workload"
    )


def test_what_an_earlier_version_made_is_judged_by_what_it_says():
    definition = define(TRIAL)
    old = {"seed": definition.seed, "hyperparameters": definition.point}
    assert definition.difference(old, is_finished=True) == ""
    assert definition.difference({**old, "seed": 1}, is_finished=True).startswith("another seed")
    assert "did not record what its trials compute" in definition.difference(old, is_finished=False)


@pytest.mark.parametrize(
    ("ran_on", "fits"),
    [
        ({"kind": "gpu", "name": "NVIDIA A100-SXM4-40GB", "count": 4}, True),
        ({"kind": "gpu", "name": "NVIDIA A100-SXM4-80GB", "count": 4}, True),
        ({"kind": "gpu", "name": "NVIDIA A100-SXM4-40GB", "count": 8}, False),
        ({"kind": "gpu", "name": "Tesla V100", "count": 4}, False),
    ],
)
def test_what_ran_on_other_hardware_than_is_asked_for_is_not_the_trials(recorded, ran_on, fits):
    found = {**recorded, "hardware": ran_on}
    asked = dataclasses.replace(define(TRIAL), accelerator=A100)
    assert (asked.difference(found, is_finished=True) == "") == fits
    assert define(TRIAL).difference(found, is_finished=True) == ""


def test_a_trial_of_target_setting_ends_by_steps(recorded):
    target = dataclasses.replace(TRIAL, ruleset="target_setting")
    definition = define(target)
    assert (definition.max_runtime, definition.identity["max_runtime"]) == (math.inf, None)
    assert definition.last_step > definition.evaluated_every > 0
    assert defined(target, definition.point, definition.content, max_steps=10**9).last_step == definition.last_step
    assert defined(target, definition.point, definition.content, max_steps=3).last_step == 3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"trial": 2}, "there is no trial 2 of nadamw_pytorch; its trials are 1 to 1"),
        ({"study": 1}, "there is no study 1 in mini; its studies are 0 to 0"),
        ({"submission": "nobody"}, "there is no submission 'nobody'"),
    ],
)
def test_what_there_is_not_is_one_sentence(changes, sentence):
    with pytest.raises(UsageError, match=sentence):
        define(dataclasses.replace(TRIAL, **changes))


def test_each_trial_of_a_study_has_its_own_point_and_no_more_are_there(tmp_path):
    rates = [0.1, 0.2, 0.3, 0.4, 0.5]
    space = tmp_path / "space.json"
    point = {"one_minus_beta1": 0.1, "beta2": 0.9, "weight_decay": 0.1, "warmup_factor": 0.0}
    space.write_text(json.dumps([{"learning_rate": rate, **point} for rate in rates]))
    trials = [dataclasses.replace(TRIAL, protocol="v0.5", study=4, trial=number) for number in range(1, 6)]
    assert [define(trial, search_space=space).point["learning_rate"] for trial in trials] == rates
    for changes, words in (({"trial": 0}, "its trials are 1 to 5"), ({"trial": 6}, "1 to 5"), ({"study": 5}, "0 to 4")):
        with pytest.raises(UsageError, match=words):
            define(dataclasses.replace(trials[0], **changes), search_space=space)
