"""Which cells are asked about, and what is said of those that cannot be."""

import dataclasses
import json

import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.fit import ask, measure, stored
from algoperf.fit.cells import Cell


def test_all_that_the_names_leave_open():
    cells = ask.cells("a100")
    assert len(cells) == 18
    assert {cell.count for cell in cells} == {4}


def test_what_the_accelerator_cannot_compute_is_left_out():
    assert "finewebedu_lm" not in {cell.workload for cell in ask.cells("v100")}
    with pytest.raises(UsageError, match="finewebedu_lm computes in bfloat16, which v100 has not"):
        ask.cells("v100", "finewebedu_lm")


def test_names_are_checked():
    with pytest.raises(UsageError, match="no framework 'mxnet'"):
        ask.cells("a100", framework="mxnet")
    with pytest.raises(UsageError, match="no workload 'gpt'"):
        ask.cells("a100", "gpt")


def test_what_cannot_be_asked_is_shown_as_it_was(monkeypatch):
    cell = Cell("wmt", "jax", "nadamw", "v100", 8)
    monkeypatch.setitem(measure._NEEDS, "jax", ("not_there_at_all.plugin", "jax"))
    answer = ask.answer([cell])
    assert answer.figures == [stored.of(cell)]
    assert answer.notes[0].startswith("jax: XLA's compiler for GPUs is not installed here")
    unheard = dataclasses.replace(cell, submission="/nowhere")
    (figures,) = ask.answer([unheard]).figures
    assert figures.peaks == {}


@pytest.mark.landing("memory of every cell in PyTorch, by shapes")
def test_the_command(algoperf):
    code, out, _ = algoperf("fit", "--accelerator", "a100", "--workload", "ogbg", "--framework", "pytorch", "--json")
    assert code == 0
    (entry,) = json.loads(out)
    assert entry["fits"] is True
    assert 0 < entry["peaks"]["train"] < entry["room"]
    assert entry["waits"] == {}


def test_the_command_shows_a_table(algoperf, monkeypatch):
    """Here of what comes with the program."""
    monkeypatch.setitem(measure._NEEDS, "jax", ("not_there_at_all.plugin", "jax"))
    code, out, _ = algoperf("fit", "--workload", "ogbg", "--framework", "jax")
    assert code == 0
    assert "4 x a100, nadamw" in out
    assert "yes" in out


def test_a_submission_that_is_none(algoperf):
    code, _, said = algoperf("fit", "--workload", "ogbg", "--framework", "pytorch", "--submission", "nobody")
    assert (code, "there is no submission 'nobody'" in said) == (2, True)
