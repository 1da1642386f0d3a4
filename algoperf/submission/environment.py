"""An environment of its own for a submission that wants other versions of packages than are installed.

It lies over the environment that makes it: what its `requirements.txt` asks for is installed there, everything else
comes from below. So it is made in seconds, and only what differs has to be fetched, or to be there as wheels.
"""

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from algoperf.benchmark.facts import Framework, InfrastructureError, UsageError
from algoperf.submission import loading, requirements

_COMMAND = """#!{python}
import sys

from algoperf.commands.cli import main

sys.exit(main())
"""


def make(name: str, framework: Framework, folder: Path, wheels: Path | None) -> Path:
    """Makes the environment of a submission in a new folder, and gives its `algoperf` command.

    wheels: a folder that everything is installed from, without an index; None: what pip is set up for.

    Raises UsageError where the submission asks for nothing or the folder exists, and InfrastructureError where pip
    fails.
    """
    asked = loading.find(name, framework).parent / requirements.FILE
    if not asked.is_file():
        raise UsageError(f"there is no {asked}: the submission runs in the environment of its framework.")
    if folder.exists():
        raise UsageError(f"{folder} exists; remove it, or name another folder with --into.")
    if wheels is not None and not wheels.is_dir():
        raise UsageError(f"there is no folder {wheels} with wheels.")
    try:
        return _make(folder.absolute(), asked, wheels)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise InfrastructureError(f"{error.filename or folder}: {error.strerror}.") from error
        raise


def _make(folder: Path, asked: Path, wheels: Path | None) -> Path:
    venv.create(folder)
    python = folder / "bin" / "python"
    below = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    lines = (f"import site; site.addsitedir({path!r})\n" for path in below)
    (packages / "below.pth").write_text("".join(lines), encoding="utf-8")
    source = [] if wheels is None else ["--no-index", "--find-links", str(wheels.absolute())]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *source, "-r", str(asked)]
    done = subprocess.run(
        pip, capture_output=True, text=True, encoding="utf-8", errors="replace", stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise InfrastructureError(f"pip cannot install {asked}: {said[-1].strip() if said else done.returncode}")
    command = folder / "bin" / "algoperf"
    command.write_text(_COMMAND.format(python=python), encoding="utf-8")
    command.chmod(0o755)
    return command
