"""The report in a real Chromium: what it shows, how it answers, on a phone, in print, and without its script."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from scoring.command import score_logs
from scoring.report import write
from tests.scoring.test_report import HOSTILE, SAMPLE, hostile
from tests.support import chromium
from tests.support.chromium import Browser
from tests.support.figures import LINES, figure, set_control
from tests.support.patience import wait_until


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.running() as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a few real logs, with all their damage."""
    folder = tmp_path_factory.mktemp("page")
    score_logs(SAMPLE, "v0.5", "external", "as-documented", folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    score_logs(Path("published:v0.5-external"), "v0.5", "external", "as-documented", folder)
    return folder / "report.html"


def count(browser: Browser, selector: str) -> int:
    return browser.run("return document.querySelectorAll(arguments[0]).length", selector)


def text(browser: Browser, selector: str) -> str:
    return browser.run("return document.querySelector(arguments[0]).textContent", selector)


ALPHAS = (
    """return figure.renderers.filter((one) => one.glyph.type === "Line").map((one) => one.glyph.line_alpha.value)"""
)
Y_LABEL = """return figure.left[0].axis_label"""


def test_it_opens_without_a_complaint_and_fetches_nothing(browser: Browser, page: Path):
    browser.complaints()
    browser.open(page)
    for name in ("profile-plot", "curves-plot"):
        figure(browser, name, "return 1")
    assert browser.complaints() == []
    assert browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)") == []
    colors = Image.open(io.BytesIO(browser.picture())).convert("RGB").getcolors(2**24)
    assert len(colors) > 50  # a picture, no empty window


def test_every_link_leads_somewhere_and_every_fold_opens(browser: Browser, page: Path):
    browser.open(page)
    figure(browser, "curves-plot", "return 1")
    links = browser.run("return [...document.querySelectorAll('a')].map((a) => a.getAttribute('href'))")
    inside = {link for link in links if link.startswith("#")}
    assert browser.run("return arguments[0].filter((link) => !document.querySelector(link))", sorted(inside)) == []
    files = [link for link in links if not link.startswith(("#", "data:"))]
    assert files
    assert all((page.parent / link).is_file() for link in files)
    folds = "const all = [...document.querySelectorAll('summary')]; all.forEach((one) => one.click());"
    assert browser.run(f"{folds} return all.filter((one) => !one.parentElement.open).length") == 0
    assert browser.complaints() == []


def test_pointing_at_the_profile_tells_who_has_reached_what(browser: Browser, published: Path):
    browser.open(published)
    tips = figure(
        browser,
        "profile-plot",
        """
        const first = figure.renderers.filter((one) => one.glyph.type === "Line").find((one) =>
          one.data_source.data.name[0] === "shampoo_submission");
        return [...first.data_source.data.tips];
        """,
    )
    assert tips[-1] == "7 of 8 workloads"


def test_a_submission_that_is_chosen_is_followed_through_the_page(browser: Browser, published: Path):
    browser.open(published)
    assert set(figure(browser, "profile-plot", ALPHAS)) == {1}
    browser.point("#leaderboard .pick[data-s='2']", 0.5, 0.5, click=True)
    alphas = figure(browser, "profile-plot", ALPHAS)
    assert [place for place, alpha in enumerate(alphas) if alpha == 1] == [2]
    assert count(browser, "#times table:first-of-type tr.chosen") >= 1
    browser.point("#leaderboard .pick[data-s='2']", 0.5, 0.5, click=True)
    assert count(browser, ".faded") == 0
    assert set(figure(browser, "profile-plot", ALPHAS)) == {1}


def test_any_trial_can_be_drawn_against_time_and_steps_and_on_log_axes(browser: Browser, page: Path):
    browser.open(page)
    set_control(browser, "#curves-workload", "fastmri")
    assert figure(browser, "curves-plot", LINES) == 1
    assert "ssim" in figure(browser, "curves-plot", Y_LABEL)
    assert text(browser, "#curves-trials tbody").count("baseline/study_1/fastmri_jax") == 1
    set_control(browser, "input[name='curves-show'][value='all']")
    trials = "return figure.renderers[0].data_source.data.x.filter(Number.isNaN).length"
    wait_until(lambda: figure(browser, "curves-plot", trials) == 5, "five trials")
    assert text(browser, "#curves-trials tbody").count("baseline/study_1/fastmri_jax") == 5
    set_control(browser, "input[name='curves-axis'][value='n']")
    axis = "return figure.below[0].axis_label"
    wait_until(lambda: figure(browser, "curves-plot", axis) == "steps", "axis of steps")
    for name in ("x", "y"):
        set_control(browser, f"#curves-log-{name}")
    scales = "return [figure.x_scale.type, figure.y_scale.type]"
    wait_until(lambda: figure(browser, "curves-plot", scales) == ["LogScale", "LogScale"], "logarithmic axes")


def test_a_cell_leads_to_its_curves(browser: Browser, page: Path):
    browser.open(page)
    place = browser.run("return document.querySelector(\"a.to-curve[data-workload='fastmri']\").dataset.s")
    set_control(browser, f"a.to-curve[data-workload='fastmri'][data-s='{place}']")
    assert "ssim" in figure(browser, "curves-plot", Y_LABEL)
    assert browser.run("return [...document.querySelectorAll('tr.chosen')].map((r) => r.dataset.row)[0]") == place


def test_a_curve_leads_to_the_row_of_its_trial_and_the_row_to_its_file(browser: Browser, page: Path):
    browser.open(page)
    set_control(browser, "#curves-workload", "fastmri")
    press = """
      const line = figure.renderers.find((one) => one.glyph.type === "Line");
      line.data_source.selected.line_indices = [1];
      return document.querySelector("tr.led-to a").getAttribute("href");
    """
    link = figure(browser, "curves-plot", press)
    assert link.endswith("/eval_measurements.csv")
    assert (page.parent / link).is_file()


def test_another_reference_changes_the_speed_ups(browser: Browser, published: Path):
    browser.open(published)
    row = "#versus tr[data-row='0'] td"
    assert browser.run("return document.getElementById('reference').selectedOptions[0].text") == "baseline"
    assert text(browser, row) == "1.386x"
    set_control(browser, "#reference", "shampoo_submission")
    assert text(browser, row) == "1 (the reference)"


@pytest.mark.parametrize("width", [1366, 390])
def test_nothing_is_wider_than_the_window_and_what_goes_on_says_so(browser: Browser, published: Path, width: int):
    browser.open(published, width)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    cut = """
      return [...document.querySelectorAll(".scroll")].filter((one) =>
        one.checkVisibility() && (one.scrollWidth > one.clientWidth + 2) !== one.classList.contains("goes-on")).length
    """
    wait_until(lambda: browser.run(cut) == 0, "marks of what goes on")
    inner = (
        "return [...document.querySelectorAll('.scroll')].filter((e) => e.scrollHeight > e.clientHeight + 20).length"
    )
    assert browser.run(inner) == 0


def test_in_print_controls_are_gone_and_tables_are_whole(browser: Browser, page: Path):
    browser.open(page)
    assert browser.printed().startswith(b"%PDF")
    browser.command("Emulation.setEmulatedMedia", media="print")
    try:
        style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
        assert browser.run(style, "nav", "display") == "none"
        assert browser.run(style, ".scroll", "overflow") == "visible"
        assert browser.run(style, ".scroll", "maxHeight") == "none"
    finally:
        browser.command("Emulation.setEmulatedMedia", media="")


def test_without_its_script_it_says_so_and_shows_the_rest(browser: Browser, page: Path):
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page)
        shot = Image.open(io.BytesIO(browser.picture())).convert("RGB")
    finally:
        browser.command("Emulation.setScriptExecutionDisabled", value=False)
    assert len(shot.getcolors(2**24)) > 50
    source = page.read_text("utf-8")
    assert "This page's script, which is off, draws the curves." in source
    assert "Scores by where the profile ends: this page's script, which is off, draws them." in source
    assert '<img class="still" alt="Performance profile of ' in source


def test_names_that_would_be_markup_are_text(browser: Browser, tmp_path: Path):
    write(hostile(), tmp_path)
    browser.complaints()
    browser.open(tmp_path / "report.html")
    assert figure(browser, "profile-plot", LINES) == 2
    assert browser.complaints() == []  # an alert would have stopped the browser
    assert browser.run("return document.body.innerText").count(HOSTILE) >= 4


def test_a_script_that_got_into_the_page_would_not_run(browser: Browser, page: Path, tmp_path: Path):
    """The policy of the page is the second lock: its own script is the only one."""
    broken = tmp_path / "broken.html"
    intruder = "<script>window.intruder = 1</script><img src=x onerror='window.intruder = 1'></body>"
    broken.write_text(page.read_text("utf-8").replace("</body>", intruder), "utf-8")
    browser.open(broken)
    assert browser.run("return window.intruder ?? 'locked out'") == "locked out"
    assert figure(browser, "profile-plot", LINES) > 0  # its own ran
    browser.complaints()
