"""Figures that came with the program: what a plan is told of them."""

import dataclasses

import pytest

from algoperf.fit import accelerators, ask, stored, table
from algoperf.fit.cells import Cell, Figures

CELL = Cell("wmt", "pytorch", "nadamw", "v100", 8)
PEAKS = {"train": 10 * 2**30, "evaluation": 9 * 2**30, "restore": 2**29}
FITS = Figures(CELL, PEAKS, {}, made="2026-01-02", code="abc, torch 2.13.0")
V100 = accelerators.known()["v100"]


@pytest.fixture
def known(monkeypatch):
    """Stores figures where nobody else sees them."""

    def keep(*figures):
        monkeypatch.setattr(stored, "stored", lambda: {entry.cell: entry for entry in figures})

    return keep


@pytest.mark.parametrize("name", accelerators.known())
def test_every_workload_fits_in_both_frameworks(name):
    cells = ask.cells(name)
    assert {cell.workload for cell in cells} >= {"wmt", "ogbg", "imagenet_resnet"}
    facts = accelerators.known()[name]
    assert [cell for cell in cells if not (figures := stored.of(cell)) or not figures.fits(facts)] == []


def test_what_fits_is_not_mentioned(known):
    known(FITS)
    found = stored.outlook([CELL], V100)
    assert (found.unfit, found.unknown, found.fitting) == ([], [], 1)


def test_what_does_not_fit_is_a_sentence(known):
    known(dataclasses.replace(FITS, peaks={"train": 10 * 2**30, "restore": 17 * 2**30}))
    (sentence,) = stored.outlook([CELL], V100).unfit
    assert sentence == (
        "wmt with nadamw in pytorch does not fit into 8 x v100: restore takes 17.00 GiB of 15.00 on each (found "
        "2026-01-02, abc, torch 2.13.0); `algoperf fit` looks again."
    )


def test_what_was_asked_in_part_is_unknown_where_it_fits_so_far(known):
    part = dataclasses.replace(FITS, peaks={"train": 10 * 2**30})
    known(part)
    assert stored.outlook([CELL], V100).unknown == [CELL]
    assert dataclasses.replace(part, peaks={"train": 2**34}).fits(V100) is False


def test_what_does_not_compile_is_a_sentence(known):
    known(dataclasses.replace(FITS, peaks={}, failures={"train": "SIGABRT: Check failed"}))
    (sentence,) = stored.outlook([CELL], V100).unfit
    assert "fails on 8 x v100, train: SIGABRT: Check failed" in sentence


def test_a_variant_is_as_its_workload(known):
    known(FITS)
    variant = dataclasses.replace(CELL, workload="wmt_post_ln")
    assert stored.outlook([variant], V100).fitting == 1


def test_what_nobody_has_looked_at_is_unknown(known):
    known()
    assert stored.outlook([CELL], V100).unknown == [CELL]


def test_what_is_stored_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "FILE", tmp_path / "figures.jsonl")
    stored.FILE.touch()
    stored.stored.cache_clear()
    other = dataclasses.replace(FITS, cell=dataclasses.replace(CELL, workload="ogbg"))
    stored.store([FITS])
    stored.store([other])
    assert stored.stored() == {CELL: FITS, other.cell: other}
    stored.stored.cache_clear()


def test_the_limits_of_a_step():
    figures = dataclasses.replace(FITS, flops={"float32": 15.7e12}, moved=2 * V100.bandwidth, needed=V100.bandwidth)
    assert figures.compute_seconds(V100) == 1
    assert figures.memory_seconds(V100) == 2
    assert table.cells(figures, V100, [figures]) == [
        *("wmt", "pytorch", "yes", "10.00", "9.00", "0.50", "15.00", "0", "0", "1000", "2000", "2.0")
    ]
    twin = dataclasses.replace(figures, cell=dataclasses.replace(CELL, framework="jax"), needed=0)
    assert table.cells(twin, V100, [figures, twin])[-1] == "2.0"
