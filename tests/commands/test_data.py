"""`algoperf data fetch`, from a real server on the loopback to a store that is prepared without a hand on it."""

import dataclasses
import hashlib
import json

import pytest

from benchmarks import raw_files
from tests.support import file_server
from workloads.datasets import librispeech
from workloads.datasets.fetch import official
from workloads.datasets.store import read_manifest, verify


@pytest.fixture
def server():
    with file_server.serving() as files:
        yield files


@pytest.fixture
def served(server, tmp_path, monkeypatch):
    """Puts synthetic raw files of a dataset on the server, as its official ones; returns them."""
    monkeypatch.setattr(official, "_FOLDER", tmp_path / "official")
    (tmp_path / "official").mkdir()

    def serve(dataset: str, size: int, urls: bool = True) -> dict[str, bytes]:
        raw_files.write(dataset, tmp_path / "origin", size)
        contents = {file.name: file.read_bytes() for file in (tmp_path / "origin").iterdir()}
        entries = ['page = "https://example.org"\nterms = "none"\nagreement = "sign the agreement"\n']
        for name, content in contents.items():
            url = server.put(name, content)
            where = [
                f"urls = [{url!r}]",
                f"bytes = {len(content)}",
                f"sha256 = '{hashlib.sha256(content).hexdigest()}'",
            ]
            entries += ["[[file]]", f"name = '{name}'", *(where if urls else []), "source = ''", "date = 2026-11-29"]
        (tmp_path / "official" / f"{dataset}.toml").write_text("\n".join(entries), "utf-8")
        return contents

    return serve


def test_what_is_fetched_is_prepared_as_it_lies(served, algoperf, tmp_path, monkeypatch):
    contents = served("librispeech", 600)
    workload, raw = "librispeech_conformer", tmp_path / "raw"
    code, printed, error = algoperf("data", "fetch", workload, "--source", raw)
    assert code == 0, error
    assert f"librispeech: {len(contents)} files, 0.1 GB; none (https://example.org)" in printed
    assert f"next: algoperf data prepare {workload} --source {raw}" in printed.replace("\n", " ")
    assert {name: (raw / name).read_bytes() for name in contents} == contents
    code, printed, _ = algoperf("data", "fetch", workload, "--source", raw)
    assert (code, "0 of them new" in printed) == (0, True)
    prepare = ("data", "prepare", workload, "--source", raw, "--data-dir", tmp_path / "data")
    code, _, error = algoperf(*prepare)
    assert (code, "utterances and not 28,539; is it complete?" in error) == (2, True)
    any_number = dataclasses.replace(librispeech.LIBRISPEECH, utterances={})
    monkeypatch.setattr(librispeech, "LIBRISPEECH", any_number)
    code, _, error = algoperf(*prepare)
    assert code == 2  # it is prepared, and has not the benchmark's number of utterances
    assert "examples for train, librispeech_conformer has 263,840" in error
    assert verify(tmp_path / "data/librispeech") == []
    assert read_manifest(tmp_path / "data/librispeech").examples("train") > 100


def test_servers_are_asked_and_nothing_is_fetched(served, server, algoperf, tmp_path):
    contents = served("wmt", 50)
    server.put("dev.tgz", contents["dev.tgz"][:-1])
    code, printed, error = algoperf("data", "fetch", "wmt", "--source", tmp_path / "raw", "--check")
    assert code == 1
    assert error == "error: no server has dev.tgz as it is known here.\n"
    assert printed.count("\nok    ") + printed.startswith("ok    ") == len(contents) - 1
    assert f"wrong dev.tgz: has {len(contents['dev.tgz']) - 1:,} bytes instead of" in printed
    assert not (tmp_path / "raw").exists()


@pytest.mark.landing("raw files that are fetched twice")
def test_links_of_ones_own_are_needed_where_nobody_has_them(served, server, algoperf, tmp_path, monkeypatch):
    monkeypatch.setattr(raw_files, "SLICES", 2)  # in less time
    contents = served("fastmri", 2, urls=False)
    arguments = ("data", "fetch", "fastmri", "--source", tmp_path / "raw")
    code, _, error = algoperf(*arguments)
    assert (code, "sign the agreement, and give the file with the links as --links FILE." in error) == (2, True)
    code, printed, _ = algoperf(*arguments, "--check")
    assert (code, printed.count("given by agreement, needs a link of your own")) == (0, 2)
    lines = [f'curl -C - "{server.address}/{name}?Signature=secret&Expires=4000000000"\n' for name in contents]
    (tmp_path / "mail").write_text("".join(lines), "utf-8")
    code, printed, error = algoperf(*arguments, "--links", tmp_path / "mail")
    assert code == 0, error
    assert {name: (tmp_path / "raw" / name).read_bytes() for name in contents} == contents
    server.put("knee_singlecoil_val.tar.xz", b"", always=file_server.status(403))
    (tmp_path / "raw/knee_singlecoil_val.tar.xz").unlink()
    code, printed, error = algoperf(*arguments, "--links", tmp_path / "mail")
    assert code == 1
    assert "get a new one" in error
    assert "secret" not in printed + error


def test_files_of_a_hub_are_those_that_it_lists(server, algoperf, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    entries = []
    for number in range(14):
        path, content = f"sample/10BT/{number:03}_00000.parquet", f"PAR1{number}PAR1".encode()
        server.put(f"datasets/HuggingFaceFW/fineweb-edu/resolve/main/{path}", content)
        lfs = {"oid": hashlib.sha256(content).hexdigest()}
        entries.append({"type": "file", "path": path, "size": len(content), "lfs": lfs})
    server.put("api/datasets/HuggingFaceFW/fineweb-edu/tree/main", json.dumps(entries).encode())
    code, _, error = algoperf("data", "fetch", "finewebedu_lm", "--source", tmp_path / "raw")
    assert code == 0, error
    names = {file.name for file in (tmp_path / "raw").glob("*.parquet")}
    assert names == {f"{number:03}_00000.parquet" for number in range(14)}


def test_a_dataset_of_the_mini_scale_or_of_no_name_is_refused(algoperf, tmp_path):
    code, _, error = algoperf("data", "fetch", "mnist2", "--source", tmp_path)
    assert (code, "mnist2" in error) == (2, True)
