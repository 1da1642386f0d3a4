"""What the accelerators of a config are on this cluster, and how a job there gets its environment.

It is read from `profiles/slurm/cluster.yaml`, the one file that a site fills in: that of the working folder, else the
one that came with this program; the variable ALGOPERF_CLUSTER names another one. `algoperf doctor --propose` writes a
first version from the live cluster.
"""

import os
import re
from pathlib import Path
from typing import Annotated

import pydantic

from algoperf.benchmark.facts import FRAMEWORKS, Framework, UsageError
from algoperf.machine import installation
from algoperf.records.strict import Strict, check_content, read_yaml

FILE = Path("profiles", "slurm", "cluster.yaml")
FILE_VARIABLE = "ALGOPERF_CLUSTER"

_NODES = r"[A-Za-z0-9_.-]+(\[[0-9,-]+\][A-Za-z0-9_.-]*)*"

# The accelerator of configs that name none: whatever machine a trial is started on, as long as all are alike.
LOCAL = "local"

Count = Annotated[int, pydantic.Field(ge=1)]

# Options of sbatch -> what sets them in place of `options`: a value of the accelerator, or the workflow itself.
_SET_BY = {
    **{"partition": "partition", "gres": "gres", "gpus": "gres", "constraint": "constraint", "account": "account"},
    **{"qos": "qos", "reservation": "reservation", "nodes": "nodes", "exclude": "exclude", "exclusive": "exclusive"},
    **{"time": "time_limit", "cpus-per-task": "cpus", "mem": "memory_gib", "mem-per-cpu": "memory_gib"},
    **dict.fromkeys(("job-name", "output", "error", "comment", "export", "chdir", "workdir", "signal", "requeue"), ""),
    **dict.fromkeys(("no-requeue", "parsable", "wrap", "array", "clusters", "ntasks", "ntasks-per-gpu"), ""),
    **dict.fromkeys(("cpus-per-gpu", "mem-per-gpu", "wait", "test-only", "help", "usage", "version"), ""),
}


def is_list_of_nodes(text: str) -> bool:
    """Whether it is one as Slurm writes it: n1,n[3-5]."""
    return re.fullmatch(f"{_NODES}(,{_NODES})*", text) is not None


def _nodes(text: str) -> str:
    if not is_list_of_nodes(text):
        raise ValueError("a list of nodes looks like n1,n[3-5]")
    return text


def _option(text: str) -> str:
    """One of sbatch's, which takes what is unambiguous of a name for the whole."""
    if not re.fullmatch(r"--[a-z][a-z-]*(=[^\s'\"]+)?", text):
        raise ValueError("an option of sbatch's is its long name and a value without spaces: --licenses=name:1")
    name = text.removeprefix("--").partition("=")[0]
    for option, value in _SET_BY.items():
        if option.startswith(name):
            raise ValueError(f"--{option} is set by {value or 'the workflow'}")
    return text


class Accelerator(Strict):
    """What stands for one accelerator name. What is left out is not asked for.

    device: must be part of the name of every device that a trial finds; count: devices of a node that a trial must
    find, all of them. time_limit: minutes; longer trials cross it in pieces. exclusive: a whole node for each trial.
    cpus, memory_gib: for each trial and node, in place of the workload's own on nodes that are shared. gres: one or
    several, with commas. exclude: nodes, as a list of Slurm's ("n1,n[3-5]"). options: further ones of sbatch's.
    facts: what `algoperf fit` takes its devices for, where it does not know them by this name: another name, or a file.
    """

    device: str | None = None
    count: Count | None = None
    nodes: Count = 1
    partition: str | None = None
    gres: str | None = None
    constraint: str | None = None
    account: str | None = None
    qos: str | None = None
    reservation: str | None = None
    time_limit: Count | None = None
    exclusive: bool = True
    cpus: Count | None = None
    memory_gib: Count | None = None
    exclude: Annotated[str, pydantic.AfterValidator(_nodes)] | None = None
    options: tuple[Annotated[str, pydantic.AfterValidator(_option)], ...] = ()
    facts: str | None = None


class Environment(Strict):
    """How a job gets one framework: lines of shell before it (modules), and what to call for `algoperf` there."""

    setup: str = ""
    command: Annotated[str, pydantic.Field(min_length=1)] = "algoperf"


def _known(name: str) -> str:
    if name.rpartition("_")[2] not in FRAMEWORKS:
        raise ValueError("it must be 'jax' or 'pytorch', or a submission's name in results, such as nadamw_jax")
    return name


class Cluster(Strict):
    """A cluster.

    environments: of a framework; of a submission by its name in results, where it has one of its own. scratch: a folder
    on each node's own disk to copy data to; shell variables in it are filled in.
    """

    accelerators: dict[str, Accelerator] = pydantic.Field({})
    environments: dict[Annotated[str, pydantic.AfterValidator(_known)], Environment] = pydantic.Field({})
    scratch: str | None = None

    def accelerator(self, name: str) -> Accelerator:
        """Raises UsageError for a name that the file does not explain."""
        if name not in self.accelerators and name != LOCAL:
            known = ", ".join({LOCAL: None, **self.accelerators})
            raise UsageError(
                f"{path()} does not say what the accelerator {name!r} is; it knows {known}. "
                "`algoperf doctor --propose` reads the live cluster."
            )
        return self.accelerators.get(name, Accelerator())

    def environment(self, framework: Framework, label: str = "") -> Environment:
        """What trials in a framework run in; those of the submission `label`, where it has its own."""
        return self.environments.get(label) or self.environments.get(framework, Environment())

    def scratch_folder(self) -> Path | None:
        """Raises UsageError where a variable in it is not set."""
        if self.scratch is None:
            return None
        folder = os.path.expandvars(self.scratch)
        if "$" in folder:
            raise UsageError(f"scratch in {path()} is {self.scratch!r}, but that variable is not set here.")
        return Path(folder)


def path() -> Path:
    if FILE_VARIABLE in os.environ:
        return Path(os.environ[FILE_VARIABLE])
    return FILE if FILE.exists() else installation.WORKFLOW_FILES / FILE


def load() -> Cluster:
    """The cluster that this machine belongs to. Raises UsageError where its file is missing or wrong."""
    where = f"the cluster description {path()}"
    return check_content(Cluster, read_yaml(path(), where), where)


def asked_for(name: str) -> Accelerator | None:
    """What a trial for the accelerator `name` must run on, None: on anything. Raises UsageError as `load` does."""
    return None if name == LOCAL else load().accelerator(name)
