"""What a trial is decides its folder and its seed, the same everywhere."""

import os
import subprocess
import sys

import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.identity import make_trial, seed, short_name


def test_a_folder_is_the_official_layout():
    trial = make_trial("mini", "external", "nadamw", "pytorch", "criteo1tb", 0, 2)
    assert str(trial.folder) == "mini/external/nadamw_pytorch/study_0/criteo1tb_pytorch/trial_2"


def test_a_command_line_that_names_what_is_not_there():
    with pytest.raises(UsageError, match=r"framework 'tensorflow'; the frameworks are jax, pytorch\."):
        make_trial("mini", "external", "nadamw", "tensorflow", "criteo1tb", 0, 1)
    with pytest.raises(UsageError, match=r"ruleset 'internal'; the rulesets are external, self, and target_setting"):
        make_trial("mini", "internal", "nadamw", "jax", "criteo1tb", 0, 1)


def test_seeds_are_pinned_and_differ():
    assert seed("mini", "nadamw_jax", "criteo1tb", 0, 1) == 1_581_737_941
    seeds = {
        seed(protocol, label, workload, study, trial)
        for protocol in ("mini", "v0.6")
        for label in ("nadamw_jax", "nesterov_jax")
        for workload in ("criteo1tb", "ogbg")
        for study in range(5)
        for trial in range(1, 6)
    }
    assert len(seeds) == 2 * 2 * 2 * 5 * 5
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_seeds_do_not_depend_on_the_process():
    command = "from algoperf.benchmark.identity import seed; print(seed('mini', 'a', 'criteo1tb', 0, 1))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", command],
            env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in (1, 2)
    }
    assert len(printed) == 1


def test_a_submission_is_called_by_its_name_or_folder():
    assert short_name("nadamw") == short_name("somewhere/nadamw") == short_name("somewhere/nadamw/jax.py") == "nadamw"
    assert short_name("somewhere/mine/submission.py") == "mine"
    assert short_name("somewhere/mine.py") == "mine"
