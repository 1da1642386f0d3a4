"""What is asked of XLA's compiler for GPUs, where its process ends before it answers."""

import pytest

from algoperf.fit import measure
from algoperf.fit.cells import PHASES, Cell


@pytest.mark.nightly("processes in JAX that end before they answer")
@pytest.mark.skipif(measure.cannot("jax") is None, reason="XLA's compiler for GPUs is here, and answers")
def test_each_phase_says_why_its_process_ended():
    (figures,) = measure.measured([Cell("ogbg", "jax", "nadamw", "a100", 4)])
    assert (figures.peaks, set(figures.failures)) == ({}, {*PHASES})
    assert figures.is_whole
    assert all(reason.startswith("exit code 1: ") for reason in figures.failures.values())
