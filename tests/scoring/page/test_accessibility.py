"""What axe-core, the checker of accessibility, finds on the page: in both themes, with all folds open."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scoring.page.markup import style_of
from scoring.report import write
from scoring.tables.plots import LINE_STYLES, PALETTE
from tests.support import chromium, synthetic_logs
from tests.support.chromium import Browser
from tests.support.figures import LINES, figure
from tests.support.scoring_logs import V05


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.running() as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With held-outs, curves, misses, several studies and trials: every section says something."""
    folder = tmp_path_factory.mktemp("accessible")
    write(synthetic_logs.result(V05, submissions=4, studies=3, numbers=2, rows=12), folder)
    return folder / "report.html"


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.landing("the report in the dark"))])
def test_axe_finds_nothing_serious(browser: Browser, page: Path, theme: str):
    browser.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    try:
        browser.open(page, 1366)
        browser.run("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
        for name in ("profile-plot", "tau-plot", "curves-plot"):
            assert figure(browser, name, LINES) == 4
        assert browser.inaccessible() == []
    finally:
        browser.command("Emulation.setEmulatedMedia", features=[])


def test_the_keyboard_alone_follows_a_submission_and_opens_folds(browser: Browser, page: Path):
    browser.open(page, 1366)
    reached = browser.run("""
      const kinds = "a[href], button, select, input, summary, [tabindex]";
      const all = [...document.querySelectorAll(kinds)].filter((one) => one.tabIndex >= 0);
      const asked = ["button.pick", "summary", "select", ".scroll", "a.to-curve"];
      return asked.map((kind) => all.some((one) => one.matches(kind)));
    """)
    assert reached == [True] * 5
    browser.run("document.querySelector('#leaderboard button.pick').focus()")
    browser.key(" ")
    assert browser.run("return document.activeElement.getAttribute('aria-pressed')") == "true"


def test_places_that_share_a_colour_differ_in_their_dashes():
    styles = [style_of(place) for place in range(len(PALETTE) * len(LINE_STYLES))]
    assert len(set(styles)) == len(styles) >= 30
