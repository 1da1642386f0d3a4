"""Nothing is cut without a cue and nothing lies upon another, of three, ten and thirty submissions with long names: on
a wide and a narrow screen, on paper, in both themes, with all folds open.
"""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scoring.page.markup import significant
from scoring.report import write
from scoring.tables.plots import PALETTE
from tests.support import chromium, synthetic_logs
from tests.support.chromium import Browser
from tests.support.figures import figure
from tests.support.scoring_logs import V05

A4_ACROSS = 1047  # pixels of its longer side, without the margins
TAB = "\ue004"
OPEN = "document.querySelectorAll('details').forEach((fold) => { fold.open = true; })"


LANDING = pytest.mark.landing("how a page of ten submissions looks")
NIGHTLY = pytest.mark.nightly("how pages of three and of thirty submissions look")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.running() as found:
        yield found


@pytest.fixture(
    scope="module",
    params=[pytest.param(10, marks=LANDING), *(pytest.param(number, marks=NIGHTLY) for number in (3, 30))],
)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("looks")
    names = synthetic_logs.FORTY_LETTERS
    write(synthetic_logs.result(V05, request.param, studies=3, numbers=2, rows=12, names=names), folder)
    return folder / "report.html"


def test_a_name_in_print_is_beside_its_row_and_not_upon_it(browser: Browser, page: Path):
    browser.open(page, A4_ACROSS)
    browser.command("Emulation.setEmulatedMedia", media="print")
    try:
        browser.run(OPEN)
        lines = browser.run("""
          return [...document.querySelectorAll(".matrix th.name, .ranks th.name")].map((cell) => {
            const words = cell.querySelector(".pick span"), height = parseFloat(getComputedStyle(words).lineHeight);
            const over = words.getBoundingClientRect().right - cell.getBoundingClientRect().right;
            return [over, words.getBoundingClientRect().height / height];
          });
        """)
        wider = "return [...document.querySelectorAll('table')].filter((one) => one.offsetWidth > arguments[0]).length"
        assert browser.run(wider, A4_ACROSS) == 0
    finally:
        browser.command("Emulation.setEmulatedMedia", media="")
    assert len(lines) > 20
    assert max(over for over, _ in lines) <= 0
    assert max(count for _, count in lines) < 6  # of 40 letters in seven parts


def test_small_print_is_no_larger_than_what_it_stands_below(browser: Browser, page: Path):
    browser.open(page, A4_ACROSS)
    browser.command("Emulation.setEmulatedMedia", media="print")
    try:
        larger = browser.run("""
          const size = (one) => parseFloat(getComputedStyle(one).fontSize);
          const all = [...document.querySelectorAll("table small")];
          return all.filter((one) => size(one) > size(one.parentElement)).length;
        """)
    finally:
        browser.command("Emulation.setEmulatedMedia", media="")
    assert larger == 0


@pytest.mark.parametrize("width", [1366, 390])
def test_the_places_at_the_ends_of_the_profile_have_room_and_keep_apart(browser: Browser, page: Path, width: int):
    browser.open(page, width)
    ends, submissions, whole = figure(
        browser,
        "profile-plot",
        """
        const words = figure.renderers.find((one) => one.glyph.type === "Text"), {x, y, text} = words.data_source.data;
        const pen = document.createElement("canvas").getContext("2d");
        pen.font = "12px system-ui, sans-serif";
        const {start, end} = figure.x_range, across = figure.inner_width / (end - start);
        const up = figure.inner_height / (figure.y_range.end - figure.y_range.start);
        const found = text.map((one, index) => ({
          at: up * y[index], text: one, height: 14.4 * one.split("\\n").length, room: across * (end - x[index]) - 8,
          width: Math.max(...one.split("\\n").map((line) => pen.measureText(line).width)),
        }));
        return [found, figure.renderers.filter((one) => one.glyph.type === "Line").length, figure.inner_width];
        """,
    )
    assert all(end["width"] <= end["room"] <= whole / 4 for end in ends)  # the rest is for the curves
    for below, above in itertools.pairwise(ends):
        assert (below["height"] + above["height"]) / 2 <= above["at"] - below["at"]
    told = sum(word.isdigit() for end in ends for word in end["text"].split())
    assert told == submissions or any(end["text"].endswith(" …") for end in ends)


def test_lines_across_a_picture_are_where_its_ticks_are(browser: Browser, page: Path):
    browser.open(page, 1366)
    browser.run(OPEN)
    for name in ("profile-plot", "tau-plot"):
        ticks = "[figure.below[0].ticker, figure.left[0].ticker]"
        grids = "[0, 1].map((dimension) => figure.center.find((one) => one.dimension === dimension).ticker)"
        assert (
            figure(browser, name, f"const [a, b] = {ticks}, [c, d] = {grids}; return [a === c, b === d]") == [True] * 2
        )


def test_ticks_have_room_for_their_names_on_any_axis(browser: Browser, page: Path):
    """Of those of a logarithmic axis, which come closer and closer, some are left out."""
    browser.open(page, 1366)
    for axis in ("x", "y"):
        browser.run("document.getElementById(arguments[0]).click()", f"curves-log-{axis}")
    policies = "return [...figure.below, ...figure.left].map((axis) => axis.major_label_policy.type)"
    assert figure(browser, "curves-plot", policies) == ["NoOverlap"] * 2


def test_names_stay_under_their_own_head_and_over_what_is_scrolled(browser: Browser, page: Path):
    browser.open(page, 390)
    browser.run(OPEN)
    browser.run("document.querySelectorAll('.scroll').forEach((one) => { one.scrollLeft = 160; })")
    time.sleep(0.3)  # frames, in which a browser tells of a scroll
    found = browser.run("""
      return [...document.querySelectorAll(".scroll")].filter((one) => one.scrollLeft > 2).map((one) => {
        const name = one.querySelector("tbody th[scope=row]"), all = [...one.querySelectorAll("thead th")];
        const left = (cell) => Math.round(cell.getBoundingClientRect().left - one.getBoundingClientRect().left);
        const heads = all.filter((head) => getComputedStyle(head).position === "sticky");
        return [left(name), heads.length, left(heads[0]), getComputedStyle(name, "::after").width === "8px"];
      });
    """)
    assert len(found) > 8
    for name, heads, head, is_marked in found:
        assert (heads, head, is_marked) == (1, name, True)
    assert sum(name == 0 for name, *_ in found) > 8  # the others' names have not come to the edge yet


def test_what_stands_above_a_table_is_read_without_scrolling_it(browser: Browser, page: Path):
    browser.open(page, 390)
    browser.run(OPEN)
    ends = browser.run("""
      return [...document.querySelectorAll("caption span")].map((one) => one.getBoundingClientRect().right)
    """)
    assert len(ends) > 4
    assert max(ends) <= 390
    assert browser.run("const pre = document.querySelector('pre'); return pre.scrollWidth - pre.clientWidth") <= 0


def test_each_study_has_one_line(browser: Browser, page: Path):
    browser.open(page, 1366)
    browser.run(OPEN)
    lines = browser.run("""
      return [...document.querySelectorAll(".studies td span")].map((one) => {
        const tops = [...one.getClientRects()].map((box) => Math.round(box.bottom));
        return Math.max(...tops) - Math.min(...tops);
      })
    """)
    assert len(lines) > 50
    assert max(lines) < 8  # the number of a trial is smaller, and no line below


def test_no_number_is_written_as_a_power_of_ten(browser: Browser, page: Path):
    browser.open(page, 1366)
    browser.run(OPEN)
    # The curves' trials have their hyperparameters as they are.
    browser.run("document.getElementById('curves').remove()")
    assert browser.run(r"return document.querySelector('main').innerText.match(/\d[\d.]*e[+-]\d+/g)") is None
    shown = [significant(value, 4) for value in (41180.4, 5035.2, 12.3456, 0.12, 0.000123456, 0.0, 1e12)]
    assert shown == ["41,180", "5,035", "12.35", "0.12", "0.0001235", "0", "1e+12"]


def _lab(color: str) -> tuple[float, float, float]:
    """CIE L*a*b* of `#rrggbb`."""
    parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    to_xyz = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    xyz = [sum(a * b for a, b in zip(line, linear, strict=True)) for line in to_xyz]
    x, y, z = (
        t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116
        for t in (part / white for part, white in zip(xyz, (0.95047, 1, 1.08883), strict=True))
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colors_are_told_apart_in_either_theme(browser: Browser, page: Path, theme: str):
    browser.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    try:
        browser.open(page)
        colors = browser.run(
            """
            return [...Array(arguments[0]).keys()].map((color) => {
              const probe = document.createElement("span");
              probe.className = `c${color}`;
              document.body.append(probe);
              return getComputedStyle(probe).getPropertyValue("--c").trim();
            })
            """,
            len(PALETTE),
        )
    finally:
        browser.command("Emulation.setEmulatedMedia", features=[])
    apart = {pair: sum((a - b) ** 2 for a, b in zip(*map(_lab, pair), strict=True)) ** 0.5
             for pair in itertools.combinations(colors, 2)}  # fmt: skip
    assert min(apart.values()) > 20, min(apart, key=apart.get)


def test_tab_goes_down_the_page_and_the_focus_is_seen(browser: Browser, page: Path):
    """Nothing moves by itself, either: whoever asks for less motion gets what all get."""
    browser.open(page, 1366)
    places = []
    for _ in range(60):
        browser.key(TAB)
        places.append(
            browser.run("""
              const order = [...document.querySelectorAll("*")].indexOf(document.activeElement);
              let one = document.activeElement;
              while (one.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;  // of a picture's tools
              const box = one.getBoundingClientRect(), style = getComputedStyle(one);
              const nav = document.querySelector("nav"), bar = nav.getBoundingClientRect();
              const isUnder = !nav.contains(one) && box.top >= bar.top && box.bottom <= bar.bottom;
              const isSeen = box.bottom > 0 && box.top < innerHeight && !isUnder;
              const isMarked = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
              return [order, isMarked, isSeen, `${one.tagName} ${one.className}`];
            """)
        )
    orders = [order for order, *_ in places]
    assert orders == sorted(orders) and len(set(orders)) > 50
    assert [what for _, has_outline, is_seen, what in places if not (has_outline and is_seen)] == []
    moving = "return [document.getAnimations().length, getComputedStyle(document.documentElement).scrollBehavior]"
    assert browser.run(moving) == [0, "auto"]
