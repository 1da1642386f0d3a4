"""The figures of a page in a browser: what a script finds in one, once it is drawn."""

import time
from collections.abc import Callable
from typing import Any

from tests.support.chromium import Browser

# Of the figure that is drawn into an element: its one Bokeh document has one root.
FIGURE = """
const figureOf = (id) =>
  Object.values(Bokeh.index).find((view) => document.getElementById(id).contains(view.el))?.model;
"""
LINES = """return figure.renderers.filter((one) => one.glyph.type === "Line").length"""


def until(read: Callable[[], Any], seconds: float = 10) -> Any:
    """What `read` gives once it gives something: pictures are drawn when they come into sight."""
    end = time.monotonic() + seconds
    while not (found := read()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def figure(browser: Browser, name: str, script: str) -> Any:
    """What `script` says of the figure in the element `name`, in which it is `figure`."""
    browser.run("document.getElementById(arguments[0]).scrollIntoView({block: 'center'})", name)
    drawn = f"{FIGURE} return Boolean(figureOf(arguments[0]))"
    assert until(lambda: browser.run(drawn, name)), name
    return browser.run(f"{FIGURE} const figure = figureOf(arguments[0]); {script}", name)


def set_control(browser: Browser, selector: str, value: str | None = None) -> None:
    """Chooses an option by its text, or presses what is no list."""
    browser.run(
        """
        const control = document.querySelector(arguments[0]);
        if (arguments[1] === null) control.click();
        else {
          control.value = [...control.options].find((option) => option.text === arguments[1]).value;
          control.dispatchEvent(new Event("change"));
        }
        """,
        selector,
        value,
    )
