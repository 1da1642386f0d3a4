"""A folder to run experiments from, for an installed package: what a checkout has at its root, and no code."""

import shutil
import uuid
from pathlib import Path

from algoperf.benchmark.facts import InfrastructureError, UsageError
from algoperf.machine.installation import WORKFLOW_FILES

# The workflow itself stays where it is installed, so that another version of it needs no other folder. Snakemake's own
# `include:` would forget what is done where no target is named; a `module` of it, what is done before and after a run.
SNAKEFILE = """\
from algoperf.machine.installation import SNAKEFILE
workflow.include(SNAKEFILE, overwrite_default_target=True)
"""
_COPIED = ("config", "profiles")


def begin(folder: Path) -> list[Path]:
    """Writes Snakefile, configs, profiles and the link `slurm` into a folder, which need not be there yet.

    Returns what was written. Raises UsageError where one of these is there already, or where `folder` can be no folder;
    InfrastructureError where it cannot be written. Either way nothing is left behind.
    """
    if not folder.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {folder.absolute().parent} to put {folder.name} into.")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; name one, or one that is not there yet.")
    names = ("Snakefile", *_COPIED, "slurm")
    for path in (folder / name for name in names):
        if path.exists() or path.is_symlink():
            raise UsageError(f"{path} is there already, and nothing is overwritten; choose another folder.")
    is_new = not folder.exists()
    unfinished = folder / f".begin.{uuid.uuid4().hex}"
    written = []
    try:
        unfinished.mkdir(parents=True)
        (unfinished / "Snakefile").write_text(SNAKEFILE, "utf-8")
        for name in _COPIED:
            shutil.copytree(WORKFLOW_FILES / name, unfinished / name)
        (unfinished / "slurm").symlink_to(Path("profiles", "slurm"))
        for name in names:
            written.append((unfinished / name).rename(folder / name))
        unfinished.rmdir()
    except OSError as error:
        for path in (*written, unfinished, *([folder] if is_new else [])):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        raise InfrastructureError(f"{folder} cannot be written: {error.strerror}.") from error
    return written
