"""Whether an experiment fits is told by what is known: of its accelerator, and of each of its cells."""

import pytest

from algoperf.experiment import config, fitting
from algoperf.fit import stored
from algoperf.fit.cells import PHASES, Figures

CONFIG = {
    "protocol": "v0.6",
    "submissions": [{"name": "nadamw", "framework": "pytorch"}],
    "workloads": ["wmt", "ogbg"],
    "variants": "all",
    "accelerator": "v100",
}


@pytest.fixture
def known(monkeypatch):
    """Every cell takes so many GiB."""

    def take(gib):
        peaks = dict.fromkeys(PHASES, gib * 2**30)
        monkeypatch.setattr(stored, "of", lambda cell: Figures(cell, peaks, {}, made="2026-01-02"))

    return take


def test_what_fits_is_counted(known):
    known(10)
    found = fitting.look(config.parse(CONFIG))
    assert found.unfit == []
    assert found.fitting > 2  # the workloads, and their variants


def test_what_does_not_fit_is_named(known):
    known(16)
    found = fitting.look(config.parse(CONFIG))
    assert found.fitting == 0
    assert found.unfit[0].startswith("wmt with nadamw in pytorch does not fit into 8 x v100: train takes 16.00 GiB")


def test_of_an_accelerator_that_nobody_knows_nothing_is_known():
    found = fitting.look(config.parse({**CONFIG, "accelerator": "local"}))
    assert (found.unfit, found.fitting) == ([], 0)
    assert {cell.workload for cell in found.unknown} >= {"wmt", "ogbg"}


def test_the_mini_scale_fits_everywhere(known):
    known(1_000)
    found = fitting.look(config.parse({**CONFIG, "protocol": "mini"}))
    assert found == stored.Outlook([], [], 0)


def test_a_plan_says_so_before_anything_is_submitted(known, algoperf, tmp_path):
    known(16)
    path = tmp_path / "config.yaml"
    path.write_text(config.parse({**CONFIG, "results_dir": str(tmp_path / "results")}).model_dump_json())
    code, out, _ = algoperf("plan", "--config", path)
    assert code == 0
    assert "wmt with nadamw in pytorch does not fit into 8 x v100" in out
