"""Where this program is installed: its workflow files, and the extras that it was not installed with."""

import importlib.metadata
from pathlib import Path

from packaging.requirements import Requirement

DISTRIBUTION = "algoperf-snakemake"
_ALL = "workloads"  # the extra that is those of all workloads
_DEVELOPING = "dev"  # has some that others are for, too
_PACKAGE = Path(__file__).parents[1]
# A wheel has them in a folder of the package, a checkout at its root.
WORKFLOW_FILES = _PACKAGE / "share" if (_PACKAGE / "share").is_dir() else _PACKAGE.parent
SNAKEFILE = WORKFLOW_FILES / "Snakefile"

# Modules that are not called like the package that has them.
_PACKAGES = {"PIL": "pillow", "absl": "absl-py", "mlflow": "mlflow-skinny"}


def way_out(error: ModuleNotFoundError) -> str | None:
    """What is missing and the command that installs it, in one sentence; None where the package is of no extra."""
    module = (error.name or "").partition(".")[0]
    package = _PACKAGES.get(module, module)
    extras = [
        extra for extra, requirement in _optional() if requirement == package and extra not in (_ALL, _DEVELOPING)
    ]
    if not extras:
        return None
    if len(extras) == 1:
        return f"{package} is not installed; the extra {extras[0]} has it: run `{command(extras[0])}`."
    names = ", ".join(extras)
    return f"{package} is not installed; the extras {names} have it: run `{command(_ALL)}`, or with one of them."


def command(extra: str) -> str:
    """What installs an extra, in a checkout, too: there it adds to what is installed."""
    return f"python -m pip install '{DISTRIBUTION}[{extra}]'"


def _optional() -> list[tuple[str, str]]:
    """(extra, package) of each that was not needed to install this program; [] where it was never installed."""
    try:
        lines = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    extras = importlib.metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    found = [(extra, Requirement(line)) for line in lines for extra in extras]
    return [
        (extra, requirement.name)
        for extra, requirement in found
        if requirement.marker and requirement.marker.evaluate({"extra": extra})
    ]
