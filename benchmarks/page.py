"""How fast does the page of a large competition open and zoom, beside that of a small one?

    python -m benchmarks.page

In a Chromium without a GPU, in turn, the median of `ROUNDS`: seconds until the page is loaded, and milliseconds of a
frame while the curves of all trials are zoomed into. Large: 30 submissions on nine workloads, three studies of five
trials of 1,000 evaluations, 4,050 synthetic trials of which 450 are in the picture; small: three and one study.
The limits that were set for the large one on two quiet cores: 2 s, 100 ms.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from algoperf.benchmark.protocol import load_protocol
from scoring.report import write
from scoring.result import Result
from tests.support import chromium, synthetic_logs
from tests.support.chromium import Browser
from tests.support.figures import figure, set_control
from tests.support.patience import wait_until

ROUNDS = 5
LOADED = "return performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"
ZOOM = """
const {start, end} = figure.x_range, frames = [];
return new Promise((resolve) => {
  let last = performance.now();
  const next = () => {
    const now = performance.now();
    frames.push(now - last);
    last = now;
    if (frames.length > 40) return resolve(frames.slice(1).sort((a, b) => a - b)[20]);
    const part = (end - start) * 0.012 * frames.length;
    figure.x_range.setv({start: start + part, end: end - part});
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
});
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, chromium.running() as browser:
        pages = []
        for name, made in (("small", small_result()), ("large", synthetic_logs.large_result())):
            write(made, Path(folder, name))
            pages.append(Path(folder, name, "report.html"))
        runs = [[measured(browser, page) for page in pages] for _ in range(ROUNDS)]
        print(f"{'page':10} {'MB':>6} {'opens, s':>9} {'frame, ms':>10}")
        medians = np.median(runs, axis=0)
        for page, (opens, frame) in zip(pages, medians, strict=True):
            print(f"{page.parent.name:10} {page.stat().st_size / 1e6:6.1f} {opens:9.2f} {frame:10.0f}")
        opens, frame = medians[1] / medians[0]
        print(f"{'ratio':10} {'':6} {opens:9.1f} {frame:10.1f}")


def small_result() -> Result:
    return synthetic_logs.result(load_protocol("v0.6-a100"), submissions=3, studies=1, numbers=5, rows=1_000)


def measured(browser: Browser, page: Path) -> tuple[float, float]:
    """Seconds until the page is loaded, and milliseconds of a frame of a zoom into the curves of all trials."""
    browser.open(page, 1366)
    opens = wait_until(lambda: browser.run(LOADED), "page that is loaded")
    set_control(browser, "input[name='curves-show'][value='all']")
    return opens, figure(browser, "curves-plot", ZOOM)


if __name__ == "__main__":
    try:
        main()
    except pytest.skip.Exception as missing:
        print(f"not measured: {missing}")
