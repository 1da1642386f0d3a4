"""A large competition: 30 submissions on nine workloads, three studies of five trials, 1,000 evaluations each.

How fast its page opens and zooms is measured in benchmarks/page.py; here, what that hangs on.
"""

from pathlib import Path

import pytest

from scoring.report import write
from tests.support import chromium, synthetic_logs
from tests.support.figures import LINES, figure, set_control

MOST_BYTES = 15e6
LEAST_POINTS, MOST_POINTS = 40, 70  # of a trial: about 60 evaluations, and the gap to the next
# Of each line: how many places it has, and whether it is dashed, which a browser draws slowly.
DRAWN = """
return figure.renderers.filter((one) => one.glyph.type === "Line")
  .map((one) => [one.data_source.data.x.length, one.glyph.line_dash.value.length > 0]);
"""
ZOOM = """
const {start, end} = figure.x_range;
figure.x_range.setv({start: start + (end - start) / 4, end: end - (end - start) / 4});
const zoomed = () => (figure.x_range.end - figure.x_range.start) / (end - start);
return new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(zoomed()))));
"""


@pytest.mark.nightly("a page of 4,050 trials")
def test_it_is_small_and_its_pictures_are_of_few_points(tmp_path: Path):
    write(synthetic_logs.large_result(), tmp_path)
    page = tmp_path / "report.html"
    assert page.stat().st_size < MOST_BYTES
    with chromium.running() as browser:
        browser.open(page, 1366)
        assert figure(browser, "curves-plot", LINES) == 30
        set_control(browser, "input[name='curves-show'][value='all']")
        drawn = figure(browser, "curves-plot", DRAWN)
        assert len(drawn) == 30
        assert all(15 * LEAST_POINTS <= points <= 15 * MOST_POINTS for points, _ in drawn)
        assert not any(is_dashed for _, is_dashed in drawn)
        assert figure(browser, "curves-plot", ZOOM) == pytest.approx(0.5)
        assert browser.complaints() == []
