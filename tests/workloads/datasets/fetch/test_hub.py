"""The list of a hub of datasets, in pages, on a real server."""

import hashlib
import json

import pytest

from algoperf.benchmark.facts import InfrastructureError
from tests.support import file_server
from workloads.datasets.fetch.client import Client
from workloads.datasets.fetch.hub import list_files
from workloads.datasets.fetch.official import Listed, load

CRITEO = load("criteo1tb").listed[0]
TREE = "api/datasets/criteo/CriteoClickLogs/tree/main"


@pytest.fixture
def server(monkeypatch):
    with file_server.serving() as files:
        monkeypatch.setenv("HF_ENDPOINT", files.address)
        yield files


def entry(path: str, content: bytes) -> dict:
    lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return {"type": "file", "oid": "of a pointer", "size": len(content), "lfs": lfs, "path": path}


def listed(server: file_server.Files, paths: list[str], listed: Listed = CRITEO) -> list:
    entries = [entry(path, path.encode()) for path in paths]
    server.put(TREE, json.dumps([{"type": "directory", "path": "data"}, *entries]).encode())
    return list_files(listed, Client(2, backoff=0.01))


def test_parts_of_parquet_keep_their_days(server):
    paths = [f"data/day=2015-02-{day}/part-0000{part}-1f.snappy.parquet" for day in (15, 16) for part in range(3)]
    files = listed(server, ["README.md", *paths])
    assert [file.name for file in files] == [path.removeprefix("data/") for path in paths]
    assert files[0].urls == (f"{server.address}/datasets/criteo/CriteoClickLogs/resolve/main/{paths[0]}",)
    assert files[0].bytes == len(paths[0])
    assert files[0].checksum == ("sha256", hashlib.sha256(paths[0].encode()).hexdigest())


def test_days_of_gzip_are_taken_where_there_are_some(server):
    days = [f"day_{day}.gz" for day in range(24)]
    assert {file.name for file in listed(server, [*days, "data/day=2015-02-15/part-00000-1f.snappy.parquet"])} == {
        *days
    }


@pytest.mark.parametrize(
    ("paths", "reason"),
    [(["day_0.gz"], "lists 1 files day_..gz and not 24; has it been published anew"), (["x"], "lists no files day_")],
)
def test_another_list_is_said(server, paths, reason):
    with pytest.raises(InfrastructureError, match=reason):
        listed(server, paths)


def test_a_file_outside_of_the_folder_is_refused(server):
    with pytest.raises(InfrastructureError, match="would lie outside of the folder"):
        listed(server, ["data/day=2015-02-15/../../../part-0.parquet"])


def test_a_list_in_pages_is_read_to_its_end(server):
    def first_page(request, content):
        following = f'<{server.address}/second?cursor=x>; rel="next"'
        request.say(200, {"Link": following}, json.dumps([entry("data/day=2015-02-15/part-0", b"0")]).encode())

    server.put(TREE, b"", always=first_page)
    server.put("second", json.dumps([entry("data/day=2015-02-15/part-1.parquet", b"1")]).encode())
    assert [file.name for file in list_files(CRITEO, Client(2))] == ["day=2015-02-15/part-1.parquet"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"{", "gives no list of files"), (b'[{"a": 1}]', "gives another list"), (b"[1]", "gives another list")],
)
def test_what_is_no_list_is_said(server, content, reason):
    server.put(TREE, content)
    with pytest.raises(InfrastructureError, match=reason):
        list_files(CRITEO, Client(2))


def test_a_hub_that_forbids_is_said(server):
    server.put(TREE, b"", always=file_server.status(401))
    with pytest.raises(InfrastructureError, match=r"the list of files can not be had: .* forbids it .status 401"):
        list_files(CRITEO, Client(2))
