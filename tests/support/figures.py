"""The figures of a page in a browser: what a script finds in one, once it is drawn."""

from typing import Any

from tests.support.chromium import Browser
from tests.support.patience import wait_until

# Of the figure that is drawn into an element: its one Bokeh document has one root.
FIGURE = """
const figureOf = (id) =>
  Object.values(Bokeh.index).find((view) => document.getElementById(id).contains(view.el))?.model;
"""
LINES = """return figure.renderers.filter((one) => one.glyph.type === "Line").length"""


def figure(browser: Browser, name: str, script: str) -> Any:
    """What `script` says of the figure in the element `name`, in which it is `figure`."""
    browser.run("document.getElementById(arguments[0]).scrollIntoView({block: 'center'})", name)
    drawn = f"{FIGURE} return Boolean(figureOf(arguments[0]))"
    wait_until(lambda: browser.run(drawn, name), f"picture in {name}")  # it is drawn when it comes into sight
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
