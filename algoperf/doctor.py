"""Checks of this machine: each is ok, or says how to mend it."""

import dataclasses
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from algoperf import config, plan
from algoperf.backends import load_backend
from algoperf.protocol import load_protocol
from algoperf.registry import load_spec
from algoperf.spec import FRAMEWORKS, UsageError
from workloads.datasets.prepare import open_source

_PACKAGES = {"jax": "jax", "pytorch": "torch"}


@dataclasses.dataclass(frozen=True)
class Check:
    """needed: without it the experiment cannot run. advice: what was found, or how to mend it."""

    name: str
    is_ok: bool
    needed: bool
    advice: str


def checks(config_file: Path) -> Iterator[Check]:
    """Everything that an experiment needs, in the order in which it needs it."""
    try:
        experiment = config.load(config_file)
        trials = plan.trials(experiment)
        yield Check("config", True, True, f"{config_file}: {len(trials)} trials of protocol {experiment.protocol}")
    except UsageError as error:
        yield Check("config", False, True, str(error))
        return
    frameworks = {entry.framework for entry in experiment.submissions}
    for framework in FRAMEWORKS:
        yield _framework(framework, needed=framework in frameworks)
    scale = load_protocol(experiment.protocol).scale
    for workload in plan.datasets(experiment).values():
        spec = load_spec(workload, scale)
        try:
            open_source(spec, "train", experiment.data_dir)
            yield Check(f"data {spec.dataset}", True, True, str(experiment.data_dir / spec.dataset))
        except UsageError as error:
            yield Check(f"data {spec.dataset}", False, True, str(error))
    has_slurm = shutil.which("sbatch") is not None
    yield Check("Slurm", has_slurm, False, "sbatch is here" if has_slurm else "no sbatch: trials run on this machine")


def _framework(framework: str, needed: bool) -> Check:
    if importlib.util.find_spec(_PACKAGES[framework]) is None:
        return Check(framework, False, needed, f"not installed: pip install -c constraints.txt '.[{framework}]'")
    accelerator = load_backend(framework).accelerator()
    return Check(framework, True, needed, f"{accelerator['count']} x {accelerator['name']} ({accelerator['kind']})")


def print_checks(config_file: Path) -> bool:
    """Whether all that is needed is there."""
    console = Console(highlight=False)
    is_ok = True
    for check in checks(config_file):
        mark, style = ("ok", "green") if check.is_ok else ("mend", "red") if check.needed else ("none", "dim")
        console.print(Text.assemble((f"{mark:5}", style), f"{check.name}: {check.advice}"))
        is_ok = is_ok and (check.is_ok or not check.needed)
    return is_ok
