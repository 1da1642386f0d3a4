"""A real Chromium, driven by its own `chromedriver` in the protocol of the W3C (WebDriver): no package in between."""

import base64
import contextlib
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.patience import PATIENCE

_ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
_AXE = Path(find_spec("axe_playwright_python").origin).with_name("axe.min.js")
_RUN = """
return axe.run(document, {resultTypes: ["violations"]}).then((found) => found.violations
  .filter((one) => ["serious", "critical"].includes(one.impact))
  .map((one) => [one.id, one.help, one.nodes.length, one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200))]));
"""
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on this machine


class Browser:
    """One window. Pages are opened from files; every method waits until the browser has done what it was asked."""

    def __init__(self, driver: str):
        self._driver = driver
        options = {"args": _ARGUMENTS}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._session = f"/session/{self._ask('POST', '/session', capabilities={'alwaysMatch': wanted})['sessionId']}"

    def _ask(self, method: str, path: str, **content: Any) -> Any:
        body = json.dumps(content).encode() if method == "POST" else None
        request = urllib.request.Request(
            f"{self._driver}{path}", body, {"Content-Type": "application/json"}, method=method
        )
        try:
            with _DIRECT.open(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from error

    def command(self, name: str, **parameters: Any) -> Any:
        """One of the browser's own (Chrome DevTools Protocol)."""
        return self._ask("POST", f"{self._session}/goog/cdp/execute", cmd=name, params=parameters)

    def open(self, page: Path, width: int = 1280, height: int = 900) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self._ask("POST", f"{self._session}/url", url=page.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function with this body returns."""
        return self._ask("POST", f"{self._session}/execute/sync", script=script, args=arguments)

    def inaccessible(self) -> list:
        """What axe-core, the checker of accessibility, finds on the page that is serious: rule, help, where."""
        self.run(f"{_AXE.read_text('utf-8')}; window.axe = axe;")
        return self.run(_RUN)

    def point(self, selector: str, right: float, down: float, click: bool = False) -> None:
        """Moves the pointer to a place inside an element, in fractions of its size, and may press there."""
        x, y = self.run(
            "const e = document.querySelector(arguments[0]); e.scrollIntoView({block: 'center'});"
            "const box = e.getBoundingClientRect();"
            "return [box.x + arguments[1] * box.width, box.y + arguments[2] * box.height]",
            selector,
            right,
            down,
        )
        steps: list[dict[str, Any]] = [{"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)}]
        if click:
            steps += [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self._ask("POST", f"{self._session}/actions", actions=[{"type": "pointer", "id": "mouse", "actions": steps}])

    def key(self, letter: str) -> None:
        """Presses and lets go a key, whatever has the focus."""
        steps = [{"type": "keyDown", "value": letter}, {"type": "keyUp", "value": letter}]
        self._ask("POST", f"{self._session}/actions", actions=[{"type": "key", "id": "keyboard", "actions": steps}])

    def complaints(self) -> list[str]:
        """What the browser has written to its console since the last time."""
        return [entry["message"] for entry in self._ask("POST", f"{self._session}/se/log", type="browser")]

    def picture(self) -> bytes:
        """The window as a PNG."""
        return base64.b64decode(self._ask("GET", f"{self._session}/screenshot"))

    def printed(self) -> bytes:
        """The page as a PDF."""
        return base64.b64decode(self._ask("POST", f"{self._session}/print", background=True))

    def close(self) -> None:
        self._ask("DELETE", self._session)


@contextlib.contextmanager
def running() -> Iterator[Browser]:
    """Skips the test that asks where Chromium is not installed."""
    if missing := [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]:
        pytest.skip(f"a real browser needs {', '.join(missing)}, not installed here (make packages)")
    process = subprocess.Popen(
        ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        port = next(found[1] for line in process.stdout if (found := re.search(r"successfully on port ([0-9]+)", line)))
        browser = Browser(f"http://127.0.0.1:{port}")
        yield browser
        browser.close()
    finally:
        process.terminate()
        process.wait()
