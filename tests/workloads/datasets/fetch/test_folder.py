"""Fetching from a real server on the loopback: whatever it does, the right bytes or one sentence."""

import dataclasses
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from algoperf.benchmark.facts import InfrastructureError, UsageError
from tests.conftest import REPOSITORY
from tests.support import file_server
from workloads.datasets.fetch import client
from workloads.datasets.fetch import folder as folders
from workloads.datasets.fetch.client import Client
from workloads.datasets.fetch.official import File

CONTENT = np.random.default_rng(0).bytes(300_000)
CHUNK = 1 << 16


@pytest.fixture
def server():
    with file_server.serving() as files:
        yield files


def known(name: str, content: bytes, *urls: str) -> File:
    return File(name, urls, len(content), ("sha256", hashlib.sha256(content).hexdigest()))


def fetch(files, into, progress=lambda what, done, total: None):
    return folders.fetch(files, into, Client(4, backoff=0.01), progress, connections=4, chunk=CHUNK)


def names(folder) -> set[str]:
    """All that is in a folder, but what the fetch itself needs."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return found - {".fetch.lock", folders.RECORD}


BAD_BEFORE_IT_IS_GOOD = {
    "good": [],
    "cut at the first byte": [file_server.good, file_server.cut(0), file_server.cut(0)],
    "cut in every range": [file_server.good, *[file_server.cut(1_000)] * 20],
    "wrong bytes once": [file_server.good, *[file_server.wrong_bytes] * 5],
    "busy": [file_server.status(503), file_server.status(429), file_server.status(500)],
    "busy in the middle": [file_server.good, file_server.good, file_server.status(503, Retry_After=0)],
}


@pytest.mark.parametrize("first", BAD_BEFORE_IT_IS_GOOD.values(), ids=BAD_BEFORE_IT_IS_GOOD)
@pytest.mark.parametrize("ranges", [True, False])
def test_the_right_bytes_come_in_the_end(server, tmp_path, first, ranges):
    always = file_server.good
    if not ranges:  # each fault once: of the whole file, there are not so many tries
        first = [file_server.without_ranges(behave) for behave in first[:2] if behave is not file_server.good]
        always = file_server.without_ranges(always)
    url = server.put("a.bin", CONTENT, *first, always=always)
    done = fetch([known("a.bin", CONTENT, url)], tmp_path)
    assert (done.files, done.new, done.bytes) == (1, 1, len(CONTENT))
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert names(tmp_path) == {"a.bin"}


NEVER = {
    "wrong bytes": (file_server.wrong_bytes, "gives other bytes than are published"),
    "a wrong length": (file_server.wrong_length(299_999), "has 299,999 bytes instead of 300,000"),
    "a page": (file_server.page, "answers with a web page and not with the file"),
    "no permission": (file_server.status(403), "forbids it .status 403; .*get a new one"),
    "nothing": (file_server.status(404), "is not there .status 404"),
    "busy": (file_server.status(503), "is busy or broken .status 503, asked 6 times"),
    "a circle": (file_server.redirect("a.bin"), "leads nowhere"),
    "cut": (file_server.cut(0), "was cut 6 times"),
    "half without a length": (file_server.shorter, "gives 150,000 bytes instead of 300,000"),
    "a teapot": (file_server.status(418), "answers with status 418"),
    "no scheme": (file_server.redirect("gopher://elsewhere/a.bin"), "leads nowhere"),
}


@pytest.mark.parametrize(("always", "reason"), NEVER.values(), ids=NEVER)
def test_a_bad_server_is_said_in_one_sentence_and_nothing_is_taken_for_whole(server, tmp_path, always, reason):
    url = server.put("a.bin", CONTENT, always=always)
    with pytest.raises(InfrastructureError, match=rf"^a.bin can not be fetched: .*{reason}") as error:
        fetch([known("a.bin", CONTENT, url)], tmp_path)
    assert str(error.value).count("\n") == 0
    assert "a.bin" not in names(tmp_path)


@pytest.mark.parametrize("always", [always for always, _ in NEVER.values()], ids=NEVER)
def test_the_next_mirror_is_asked(server, tmp_path, always):
    urls = [server.put("bad/a.bin", CONTENT, always=always), server.put("good/a.bin", CONTENT)]
    fetch([known("a.bin", CONTENT, *urls)], tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_server_that_is_not_there_is_said(server, tmp_path):
    with pytest.raises(InfrastructureError, match=r"127.0.0.1:9/a.bin is not reached .*refused"):
        fetch([known("a.bin", CONTENT, "http://127.0.0.1:9/a.bin")], tmp_path)


def test_it_waits_as_long_as_the_server_asks(server, tmp_path):
    url = server.put("a.bin", CONTENT, file_server.status(429, Retry_After=1), file_server.status(503, Retry_After=1))
    start = time.monotonic()
    fetch([known("a.bin", CONTENT, url)], tmp_path)
    assert time.monotonic() - start > 1.9


def test_a_server_that_falls_silent_is_asked_again(server, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "_TIMEOUT", (1, 0.3))
    url = server.put("a.bin", CONTENT, file_server.good, file_server.silent, file_server.silent)
    fetch([known("a.bin", CONTENT, url)], tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_redirects_lead_to_the_file_range_by_range(server, tmp_path):
    there = server.put("elsewhere/b?signature=secret".partition("?")[0], CONTENT)
    url = server.put("a.bin", CONTENT, always=file_server.redirect(f"{there}?signature=secret"))
    fetch([known("a.bin", CONTENT, url)], tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert "secret" not in (tmp_path / folders.RECORD).read_text()
    assert {path for path, asked in server.asked if asked == f"bytes={CHUNK}-{2 * CHUNK - 1}"} == {
        "a.bin",
        "elsewhere/b",
    }


def test_what_is_here_is_not_fetched_again(server, tmp_path):
    """A range that can not be had ends the first try; the second asks for the others no more."""
    url = server.put("a.bin", CONTENT, file_server.good, always=file_server.cut(10))
    file = known("a.bin", CONTENT, url)
    server.put("a.bin", CONTENT, *[file_server.good] * 4, always=file_server.status(403))
    with pytest.raises(InfrastructureError, match="403"):
        fetch([file], tmp_path)
    record = json.loads((tmp_path / ".a.bin.part.json").read_text())
    here = sum(end - begin for begin, end in record["done"])
    assert here >= CHUNK
    server.put("a.bin", CONTENT)
    del server.asked[:]
    fetch([file], tmp_path)
    asked = [tuple(map(int, asked.removeprefix("bytes=").split("-"))) for _, asked in server.asked]
    assert sum(end + 1 - begin for begin, end in asked) == len(CONTENT) - here + 1  # one byte to ask for the size
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_file_that_is_another_one_now_is_begun_anew(server, tmp_path):
    """Nobody published a checksum: only the version says so."""
    old, new = CONTENT, CONTENT[::-1]
    url = server.put("a.bin", old, *[file_server.good] * 4, always=file_server.status(403))
    with pytest.raises(InfrastructureError):
        fetch([File("a.bin", (url,))], tmp_path)
    server.put("a.bin", new)
    fetch([File("a.bin", (url,))], tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == new


def test_a_file_that_changes_meanwhile_is_refused(server, tmp_path):
    def changed(request, content):
        request.give(content[::-1])

    url = server.put("a.bin", CONTENT, *[file_server.good] * 3, always=changed)
    with pytest.raises(InfrastructureError, match="has changed while it was fetched"):
        fetch([File("a.bin", (url,))], tmp_path)
    assert "a.bin" not in names(tmp_path)


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".tar", ".parquet"])
def test_without_a_checksum_a_file_has_to_look_like_its_kind(server, tmp_path, suffix):
    url = server.put("a", b"<html>" * 100)
    with pytest.raises(InfrastructureError, match=f"gives no {suffix} file"):
        fetch([File(f"a{suffix}", (url,))], tmp_path)


def test_many_files_are_fetched_and_one_that_can_not_be_had_keeps_none_from_its_place(server, tmp_path):
    contents = {f"day={day}/part-{number}": f"{day} {number}".encode() * 99 for day in range(5) for number in range(9)}
    files = [known(name, content, server.put(name, content)) for name, content in contents.items()]
    server.put("day=2/part-3", b"", always=file_server.status(404))
    shown = []
    with pytest.raises(
        InfrastructureError, match=r"^day=2/part-3 can not be fetched: [^ ]+ is not there .status 404..$"
    ):
        fetch(files, tmp_path, lambda *state: shown.append(state))
    assert names(tmp_path) == set(contents) - {"day=2/part-3"}
    server.put("day=2/part-3", contents["day=2/part-3"])
    done = fetch(files, tmp_path, lambda *state: shown.append(state))
    assert (done.files, done.new) == (45, 1)
    assert shown[-1] == ("fetch", len(contents["day=2/part-3"]), len(contents["day=2/part-3"]))
    assert all((tmp_path / name).read_bytes() == content for name, content in contents.items())


def test_nothing_is_asked_where_all_is_there(server, tmp_path):
    file = known("a.bin", CONTENT, server.put("a.bin", CONTENT))
    fetch([file], tmp_path)
    del server.asked[:]
    assert fetch([file], tmp_path).new == 0
    assert server.asked == []


def test_a_file_that_a_person_put_there_is_taken_if_it_is_the_right_one(server, tmp_path):
    file = known("a.bin", CONTENT, server.put("a.bin", CONTENT))
    (tmp_path / "a.bin").write_bytes(CONTENT)
    assert fetch([file], tmp_path).new == 0
    (tmp_path / "a.bin").write_bytes(CONTENT[::-1])
    with pytest.raises(
        UsageError, match=r"a.bin has the sha256 .* instead of .*; move it away, and it will be fetched."
    ):
        fetch([file], tmp_path)
    (tmp_path / "a.bin").write_bytes(CONTENT[:-1])
    with pytest.raises(UsageError, match=r"a.bin has 299,999 bytes instead of 300,000"):
        fetch([file], tmp_path)
    assert server.asked == []


def test_a_disk_that_is_too_small_is_known_before_it_is_written(server, tmp_path, monkeypatch):
    """Of a file of unknown size, the server is asked."""
    free = shutil.disk_usage(tmp_path)._replace(free=299_999)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(UsageError, match=r"needs 0.0 GB more, but its disk has 0.0 GB free"):
        fetch([File("a.bin", (server.put("a.bin", CONTENT),))], tmp_path)
    assert names(tmp_path) == set()


def test_two_at_once_are_refused(server, tmp_path):
    with folders._alone(tmp_path), pytest.raises(UsageError, match="another process fetches into"):
        fetch([known("a.bin", CONTENT, server.put("a.bin", CONTENT))], tmp_path)


def test_every_server_is_asked_for_a_check(server):
    good, other = server.put("a.bin", CONTENT), server.put("mirror/a.bin", CONTENT[:-5])
    gone, silent = (
        server.put("gone", b"", always=file_server.status(404)),
        server.put("s", b"", always=file_server.shorter),
    )
    file = dataclasses.replace(known("a.bin", CONTENT, good, other, gone, silent))
    found = [wrong for _, _, wrong in folders.check([file], Client(4, backoff=0.01))]
    assert found[:2] == ["", "has 299,995 bytes instead of 300,000"]
    assert found[2].endswith("gone is not there (status 404)")
    assert found[3] == "does not say how many bytes it has instead of 300,000"


KILLED = """
import sys
from pathlib import Path
from tests.workloads.datasets.fetch.test_folder import fetch, known
url, folder, *names = sys.argv[1:]
contents = {name: name.encode() * 40_000 for name in names}
fetch([known(name, content, f"{url}/{name}") for name, content in contents.items()], Path(folder))
"""


def killed_at_random_moments(server, folder, moments: int) -> None:
    """A fetch that is killed so often, and given again, gives the same files; no byte is taken for another."""
    contents = {name: name.encode() * 40_000 for name in ("first", "second", "third")}
    rng = np.random.default_rng(0)

    def slowly(request, content):
        time.sleep(0.02)
        request.give(content)

    for name, content in contents.items():
        server.put(name, content, always=slowly)
    command = [sys.executable, "-c", KILLED, server.address, str(folder), *contents]
    ends = {}
    for _ in range(moments):
        process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE)
        time.sleep(0.35 + rng.random() * 0.35)
        process.kill()
        _, said = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), said
        ends[process.returncode] = ends.get(process.returncode, 0) + 1
        for name in names(folder) & set(contents) if folder.is_dir() else ():
            assert (folder / name).read_bytes() == contents[name]
        if process.returncode == 0:  # all was there: from the beginning
            shutil.rmtree(folder)
    assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == 0
    assert names(folder) == set(contents)
    assert all((folder / name).read_bytes() == content for name, content in contents.items())
    assert ends.get(-signal.SIGKILL, 0) >= moments // 3, ends


def test_it_may_be_killed(server, tmp_path):
    killed_at_random_moments(server, tmp_path / "raw", 4)


@pytest.mark.nightly("a fetch that is killed fifty times")
def test_it_may_be_killed_at_any_moment(server, tmp_path):
    killed_at_random_moments(server, tmp_path / "raw", 50)
