"""Random trees of logs, with the damage of real ones: scored as the rules' description has it, to the last digits."""

import random
from pathlib import Path

import pytest

from algoperf.benchmark.protocol import load_protocol
from scoring.logs.read import read_logs
from scoring.rules.score import score_trials
from tests.support import score_oracle
from tests.support.score_oracle import BASE, HELD_OUT, TARGETS

TREES = 12  # of each protocol and reading


def write_trial(folder: Path, workload: str, luck: random.Random, pace: float) -> None:
    """A csv with a curve that passes its target, or not; nothing, or little, where it is damaged."""
    folder.mkdir(parents=True)
    if luck.random() < 0.06:
        return
    metric, target, less = TARGETS[workload]
    hit = luck.choice([None, *luck.choices(range(8), k=4)])
    rows = luck.choice([1, 8, 8, 8, luck.randint(1, 12)])
    lines = [f"accumulated_submission_time,global_step,score,validation/{metric},test/{metric}"]
    seconds = 0.0
    for row in range(rows):
        seconds += pace * luck.uniform(0.2, 2)
        is_hit = hit is not None and row >= hit and luck.random() < 0.9
        better = target if luck.random() < 0.1 else target * (0.9 if less else 1.1)
        value = better if is_hit else target * (1.2 if less else 0.8)
        cell = luck.choice(["nan", "", "inf" if less else "-inf"]) if luck.random() < 0.04 else repr(value)
        lines.append(f"{seconds!r},{row},{seconds!r},{cell},{target!r}")
    (folder / "eval_measurements.csv").write_text("\n".join(lines) + "\n")


def write_tree(root: Path, protocol: str, luck: random.Random) -> None:
    workloads = [*BASE[protocol], *(HELD_OUT if protocol == "v0.5" else ())]
    trials = luck.choice([1, 2, 5])
    for number in range(luck.randint(1, 4)):
        framework = luck.choice(["jax", "pytorch"])
        pace = luck.choice([50, 100, 200, 400])
        for study in range(luck.randint(1, 5)):
            for workload in workloads:
                if luck.random() < 0.05:  # a workload that is missing from a study
                    continue
                other = "pytorch" if framework == "jax" else "jax"
                folder = root / f"s{number}" / f"study_{study}"
                if luck.random() < 0.02:  # the other framework's folder, empty
                    (folder / f"{workload}_{other}" / "trial_1").mkdir(parents=True)
                for trial in range(1, 1 + trials):
                    cell = folder / f"{workload}_{framework}" / f"trial_{trial if trial < 5 else 10}"
                    write_trial(cell, workload, luck, pace * luck.choice([1, 1, 1.5, 3]))
    (root / "s0" / "study_0" / "wmt_post_ln_jax" / "trial_1").mkdir(parents=True, exist_ok=True)


@pytest.mark.parametrize("protocol", BASE)
def test_random_trees_have_the_scores_that_the_rules_give(tmp_path: Path, protocol: str):
    different = set()
    for seed in range(TREES):
        root = tmp_path / f"tree_{seed}"
        write_tree(root, protocol, random.Random(f"{protocol}/{seed}"))
        trials = read_logs(root, load_protocol(protocol), "external").trials
        for reading in ("as-documented", "as-published"):
            found = score_trials(trials, load_protocol(protocol), reading).standings
            expected = score_oracle.scores(root, protocol, published=reading == "as-published")
            assert {s.submission: s.score for s in found} == pytest.approx(expected, abs=1e-9), (seed, reading)
            different.update(expected.values())
    assert len(different) > 3 * TREES  # the trees are worth comparing
