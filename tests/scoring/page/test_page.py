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


def says(browser: Browser, name: str) -> str:
    return browser.run("return document.getElementById(arguments[0]).textContent", f"{name}-says")


def count(browser: Browser, selector: str) -> int:
    return browser.run("return document.querySelectorAll(arguments[0]).length", selector)


def test_it_opens_without_a_complaint_and_fetches_nothing(browser: Browser, page: Path):
    browser.complaints()
    browser.open(page)
    assert browser.complaints() == []
    assert browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)") == []
    colors = Image.open(io.BytesIO(browser.picture())).convert("RGB").getcolors(2**24)
    assert len(colors) > 50  # a picture, no empty window


def test_pointing_at_the_profile_tells_who_has_reached_what(browser: Browser, published: Path):
    browser.open(published)
    # The upper right corner: the first one's curve at 7 of 8, close to 4x.
    browser.point(".profile.wide > svg", 0.69, 0.15)
    told = says(browser, "profile")
    assert told.startswith("shampoo_submission within 3.9")
    for words in ("7 of 8 workloads", "criteo1tb (1.00x)", "wmt (2.41x)", "Lost: imagenet_resnet (not reached)"):
        assert words in told
    assert count(browser, ".curve.near") == 1


def test_a_submission_that_is_chosen_is_followed_through_the_page(browser: Browser, published: Path):
    browser.open(published)
    browser.point("#leaderboard .pick[data-s='2']", 0.5, 0.5, click=True)
    names = count(browser, ".profile.wide .curve")
    assert count(browser, ".profile.wide .curve.faded") == names - 1
    assert count(browser, ".profile.wide .curve.chosen[data-s='2']") == 1
    assert count(browser, "#times tr.chosen") == 1
    browser.point("#leaderboard .pick[data-s='2']", 0.5, 0.5, click=True)
    assert count(browser, ".faded") == 0


def test_any_trial_can_be_drawn_against_time_and_steps(browser: Browser, page: Path):
    browser.open(page)
    choose = """
      const select = document.getElementById("curves-workload");
      select.value = [...select.options].find(option => option.text === arguments[0]).value;
      select.dispatchEvent(new Event("change"));
    """
    browser.run(choose, "fastmri")
    drawn = "#curves-plot path"
    assert count(browser, drawn) == 1  # the trial that decides
    assert count(browser, "#curves-plot circle[r='4.5']") == 1  # where it reached the target
    assert "target ≥ 0.723653" in browser.run("return document.getElementById('curves-plot').textContent")
    browser.run("document.querySelector(\"input[name='curves-trials'][value='all']\").click()")
    assert count(browser, drawn) == 5
    browser.point(".trial[aria-pressed='true']", 0.5, 0.5, click=True)
    assert count(browser, drawn) == 4
    browser.run("document.querySelector(\"input[name='curves-axis'][value='n']\").click()")
    assert "steps" in browser.run("return document.getElementById('curves-plot').textContent")
    assert count(browser, drawn) == 4


def test_pointing_at_a_curve_names_its_trial_and_file(browser: Browser, page: Path):
    browser.open(page)
    browser.run("""
      const select = document.getElementById("curves-workload");
      select.value = [...select.options].find(option => option.text === "fastmri").value;
      select.dispatchEvent(new Event("change"));
    """)
    right, down = browser.run("""
      const plot = document.getElementById("curves-plot"), hit = plot.querySelector("circle[r='4.5']");
      const [, , width, height] = plot.getAttribute("viewBox").split(" ").map(Number);
      return [hit.getAttribute("cx") / width, hit.getAttribute("cy") / height];
    """)
    browser.point("#curves-plot", right, down)
    told = says(browser, "curves")
    for words in (
        "baseline study_1, trial_",
        "ssim 0.72",
        "step ",
        "reached the target at",
        "baseline/study_1/fastmri_jax",
    ):
        assert words in told


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(browser: Browser, published: Path, width: int):
    browser.open(published, width)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    shown, hidden = (".wide", ".narrow") if width > 600 else (".narrow", ".wide")
    display = "return getComputedStyle(document.querySelector(arguments[0])).display"
    assert browser.run(display, f".profile{shown}") == "block"
    assert browser.run(display, f".profile{hidden}") == "none"


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
    assert "This page's script, which is off, draws the curves." in page.read_text("utf-8")


def test_names_that_would_be_markup_are_text(browser: Browser, tmp_path: Path):
    write(hostile(), tmp_path)
    browser.complaints()
    browser.open(tmp_path / "report.html")
    assert browser.complaints() == []  # an alert would have stopped the browser
    assert browser.run("return document.body.innerText").count(HOSTILE) >= 4
    assert HOSTILE in browser.run(
        "return document.getElementById('profile-data').textContent.normalize() && "
        "JSON.parse(document.getElementById('profile-data').textContent).submissions.join()"
    )


def test_a_script_that_got_into_the_page_would_not_run(browser: Browser, page: Path, tmp_path: Path):
    """The policy of the page is the second lock: its own script is the only one."""
    broken = tmp_path / "broken.html"
    intruder = "<script>window.intruder = 1</script><img src=x onerror='window.intruder = 1'></body>"
    broken.write_text(page.read_text("utf-8").replace("</body>", intruder), "utf-8")
    browser.open(broken)
    assert browser.run("return window.intruder ?? 'locked out'") == "locked out"
    assert count(browser, "#curves-plot path") > 0  # its own ran
    browser.complaints()
