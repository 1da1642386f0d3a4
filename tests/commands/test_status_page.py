"""The page of an experiment that runs: what it shows, that it stays true, and that a browser reads it again."""

import os
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser

import pytest

from algoperf.commands import status_page
from algoperf.machine import lock
from algoperf.progress import status
from algoperf.progress.forecast import forecast
from algoperf.records import official_files
from tests.conftest import REPOSITORY
from tests.progress.test_status_view import begun, done, failed, trials_of
from tests.support import chromium
from tests.support.patience import PATIENCE, wait_until


class Tables(HTMLParser):
    """The rows of each section, as lists of texts."""

    def __init__(self, page):
        super().__init__()
        self.rows, self._section = {}, ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == "section":
            self._section = dict(attributes)["id"]
            self.rows[self._section] = []
        elif tag == "tr" and self._section:
            self.rows[self._section].append([])
        elif tag in ("td", "th") and self._section:
            self.rows[self._section][-1].append("")

    def handle_data(self, data):
        if self._section and self.rows[self._section] and self.rows[self._section][-1]:
            self.rows[self._section][-1][-1] += data


def page_of(trials, results):
    found = status.statuses(trials, results)
    now = time.time()
    return status_page.page(found, forecast(found, now), "mini.yaml: mini", now, 5)


def test_it_shows_what_runs_what_failed_what_is_done_and_what_waits(tmp_path):
    trials = trials_of()[:9]
    done(tmp_path, trials[0])
    done(tmp_path, trials[1], "diverged")
    failed(tmp_path, trials[2])
    with lock.FolderLock(begun(tmp_path, trials[3])):
        page = page_of(trials, tmp_path)
    rows = Tables(page).rows
    assert list(rows) == ["running", "failed", "workloads", "done", "waiting"]
    _, (name, ends_in, *_) = rows["running"]
    assert name == "nadamw_jaxfastmri, external, study 0, trial 1"
    assert ends_in.split()[-1] in ("s", "min", "moments")
    assert "RuntimeError: [bold]no[/bold] GPU" in rows["failed"][1][2]
    assert [row[1] for row in rows["done"][1:]] == ["reached", "diverged"]
    assert len(rows["waiting"]) == 1 + 5
    assert rows["workloads"][1][0].startswith("criteo1tbloss ≤ 0.")
    assert rows["workloads"][1][1] == "2 of 3"
    assert "<title>2 of 9 done, 1 running, 1 failed, 5 waiting" in page
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page


def test_what_trials_say_is_text(tmp_path):
    (trial,) = trials_of(labels=("<script>alert(1)</script>",))[:1]
    (begun(tmp_path, trial) / official_files.ERRORS).write_text("ValueError: </td><img src=x onerror=alert(1)>\n")
    page = page_of([trial], tmp_path)
    assert "alert(1)</script>" not in page
    assert "<img" not in page


def test_the_command_keeps_it_true_until_all_is_done(tmp_path, algoperf):
    """Written anew while it waits, and not read again by the browser once nothing is left."""
    command = [
        sys.executable,
        "-m",
        "algoperf",
        "status",
        str(tmp_path / "results"),
        "--html",
        str(tmp_path / "a/b.html"),
    ]
    process = subprocess.Popen(
        [*command, "--live"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
    )
    page = tmp_path / "a" / "b.html"
    wait_until(page.exists, "page")
    assert "0 of 27 done, 27 waiting" in page.read_text()
    for trial in trials_of(labels=("nadamw_jax",))[:1]:
        done(tmp_path / "results", trial)
    wait_until(lambda: "1 of 27 done" in page.read_text(), "trial that is done in the page")
    assert "1 of 27 done, 26 waiting" in page.read_text()
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    code, output, _ = algoperf("status", tmp_path / "results", "--html", page)
    assert (code, output) == (0, f"page: {page}\n")
    code, _, error = algoperf("status", tmp_path / "results", "--html", page, "--json")
    assert (code, "choose one of them" in error) == (2, True)
    code, _, error = algoperf("status", tmp_path / "results", "--html", page / "under_a_file.html")
    assert (code, error.count("\n")) == (1, 1)


@pytest.fixture(scope="module")
def browser():
    with chromium.running() as found:
        yield found


def test_a_browser_reads_it_again_by_itself_and_has_nothing_to_complain_of(tmp_path, browser):
    trials = trials_of()[:3]
    path = tmp_path / "status.html"
    reader = status.Reader(trials, tmp_path)
    status_page.write(reader, "mini", path, live=False)
    browser.complaints()
    browser.open(path)
    assert browser.run("return document.querySelector('h1').textContent") == "0 of 3 done, 3 waiting"
    assert browser.run("return document.querySelectorAll('.fill').length") == 0  # nothing of nothing
    browser.command("Emulation.setEmulatedMedia", media="print")
    assert browser.run("return getComputedStyle(document.querySelector('header button')).display") == "none"
    browser.command("Emulation.setEmulatedMedia", media="")
    done(tmp_path, trials[0])
    status_page.write(reader, "mini", path, live=False)
    heading = "return document.querySelector('h1')?.textContent"
    wait_until(lambda: browser.run(heading) == "1 of 3 done, 2 waiting", "page that is read again")
    assert browser.inaccessible() == []
    browser.run("document.querySelector('header button').click()")  # a person stops that, also after a reload by hand
    browser.open(path)
    assert browser.run("return document.querySelector('header button').textContent") == "Read this file again by itself"
    done(tmp_path, trials[1])
    status_page.write(reader, "mini", path, live=False)
    time.sleep(status_page.PERIOD + 1)
    assert browser.run("return document.querySelector('h1').textContent") == "1 of 3 done, 2 waiting"
    assert browser.complaints() == []
    assert browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)") == []
    for trial in trials[2:]:
        done(tmp_path, trial)
    status_page.write(reader, "mini", path, live=True, notes=lambda: ["node7 is <left> out"])  # ends by itself
    assert "node7 is &lt;left&gt; out" in path.read_text()
    assert "data-refresh" not in path.read_text()
