"""What each cell in PyTorch takes of a V100 or an A100, by shapes: it fits, and no step waits."""

import pytest

from algoperf.fit import ask, measure, stored
from algoperf.fit.cells import Cell, gib

pytestmark = pytest.mark.landing("memory of every cell in PyTorch, by shapes")
PHASES_HERE = ("train", "restore")
# GiB of each device that PyTorch can have there.
ROOM = {"v100": 15.0, "a100": 38.0}


@pytest.fixture(scope="module", params=list(ROOM))
def found(request):
    """The figures of cells on an accelerator; an evaluation's, which take as long again, are in `make fit`."""
    return list(measure.measured(ask.cells(request.param, framework="pytorch"), PHASES_HERE))


def test_every_workload_fits(found):
    for figures in found:
        assert figures.failures == {}
        assert set(figures.peaks) == set(PHASES_HERE)
        room = ROOM[figures.cell.accelerator]
        assert {phase: gib(peak) for phase, peak in figures.peaks.items() if peak > room * 2**30} == {}, figures.cell


def test_no_step_waits(found):
    assert {figures.cell.workload: dict(figures.waits) for figures in found if figures.waits} == {}


def test_the_figures_that_come_with_the_program_are_those(found):
    for figures in found:
        known = stored.of(figures.cell)
        assert known is not None, figures.cell
        for phase, peak in figures.peaks.items():
            assert known.peaks[phase] == pytest.approx(peak, rel=0.01), (figures.cell, phase)


def test_batch_normalisation_over_eight_devices_takes_what_it_takes_on_one():
    """At most 11.5 GiB of a V100, and memory traffic within a tenth of that of a device that is alone."""
    cells = [Cell("imagenet_resnet", "pytorch", "nadamw", "v100", count) for count in (1, 8)]
    alone, shared = measure.measured(cells, ["train"])
    assert shared.peaks["train"] <= 11.5 * 2**30
    assert shared.moved <= 1.1 * alone.moved / 8
