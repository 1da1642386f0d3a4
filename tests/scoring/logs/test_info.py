"""`submission_info.yml`: what it says is shown, and where it is contradicted or damaged that is said."""

from pathlib import Path

import pytest

from algoperf.benchmark.protocol import load_protocol
from scoring.logs.info import Info
from scoring.logs.read import read_logs
from scoring.logs.trials import Logs

FULL = """submission_name: Mine
framework: JAX
authors: ["A. Author", "B. Other"]
affiliations: Here
version: 1.0
ruleset: self-tuning
description: |
  Two
  lines.
"""


def logs(root: Path, content: str | bytes, ruleset: str = "self") -> Logs:
    folder = root / "mine" / "study_0" / "wmt_jax" / "trial_1"
    folder.mkdir(parents=True)
    (folder / "eval_measurements.csv").write_text("score,validation/bleu\n9,40\n")
    data = content if isinstance(content, bytes) else content.encode()
    (root / "mine" / "submission_info.yml").write_bytes(data)
    return read_logs(root, load_protocol("v0.6"), ruleset)


def findings(found: Logs) -> list[str]:
    return [finding.what for finding in found.findings if finding.path == "mine/submission_info.yml"]


def test_what_it_says_is_read(tmp_path: Path):
    found = logs(tmp_path, FULL)
    assert found.infos["mine"] == Info("JAX", "A. Author, B. Other", "Here", "1.0", "self-tuning", "Two lines.")
    assert findings(found) == []


def test_what_the_trials_or_the_score_contradict_is_said(tmp_path: Path):
    found = logs(tmp_path, FULL.replace("JAX", "PyTorch"), "external")
    assert findings(found) == [
        "says framework PyTorch, its trials are in jax",
        "says ruleset self-tuning, scored under external tuning",
    ]


@pytest.mark.parametrize("content", ["", "[1]", "{", b"\xff\x00", "a: !!python/object:os.system {}", "- " * 9_000])
def test_what_is_no_info_is_reported_and_stops_nothing(tmp_path: Path, content: str | bytes):
    found = logs(tmp_path, content)
    assert findings(found) == ["not YAML with names and values"]
    assert found.infos["mine"] == Info()
    assert found.trials[0].hit_time == 9


def test_odd_values_are_words_or_nothing(tmp_path: Path):
    found = logs(tmp_path, 'authors: {a: b}\nframework: null\nversion: [1, "x\\u0007"]\n')
    assert found.infos["mine"] == Info(version="1, x\\x07")


def test_a_long_value_is_cut(tmp_path: Path):
    assert logs(tmp_path, f"version: {'x' * 1_001}\n").infos["mine"] == Info(version="x" * 1_000)
