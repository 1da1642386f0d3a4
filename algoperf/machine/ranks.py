"""Which of a trial's processes this one is, whoever started them: torchrun, srun, or nobody in particular.

Several processes are told apart by the variables that torchrun sets: RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and
MASTER_PORT. In a step of several Slurm tasks submitit derives them from Slurm's own.
"""

import dataclasses
import gc
import importlib
import os
import sys
from typing import NoReturn

from algoperf.benchmark.facts import UsageError

_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclasses.dataclass(frozen=True)
class Ranks:
    """rank: this process among all `world_size` of the trial, from 0. local_rank: among those on its node."""

    rank: int
    local_rank: int
    world_size: int


def join() -> Ranks:
    """This process's place; where there are several, torchrun's variables are in the environment afterwards.

    Raises UsageError where only some of the variables are set.
    """
    if _is_one_of_several_slurm_tasks() and "RANK" not in os.environ:
        _export_slurm()
    found = [name for name in _VARIABLES[:3] if name in os.environ]
    if not found:
        return Ranks(0, 0, 1)
    if missing := [name for name in _VARIABLES if name not in os.environ]:
        raise UsageError(
            f"{found[0]} is set but {missing[0]} is not; start a trial's processes with torchrun or srun, or unset "
            f"{found[0]}."
        )
    return Ranks(*(int(os.environ[name]) for name in _VARIABLES[:3]))


def are_several() -> bool:
    """Whether `join` has found more processes than this one."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def leave(code: int) -> NoReturn:
    """Ends this process at once, where it has failed and others may wait for it in the middle of a sum.

    On their usual way out frameworks wait for those others, and nobody would learn that this one has ended.
    """
    gc.collect()  # which removes its temporary folders
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _is_one_of_several_slurm_tasks() -> bool:
    """Of the step, not of the job: a batch script is one process, however many tasks its job may start."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1


def _export_slurm() -> None:
    """Sets torchrun's variables from Slurm's; MASTER_ADDR and MASTER_PORT stay where they are set."""
    try:
        submitit = importlib.import_module("submitit.helpers")  # an extra, and only some trials need it
    except ModuleNotFoundError:
        raise UsageError("a trial of several Slurm tasks needs submitit; install the extra `slurm`.") from None
    os.environ["SUBMITIT_EXECUTOR"] = "slurm"  # submitit asks for it where it has not submitted the job itself
    address = os.environ.get("MASTER_ADDR")
    environment = submitit.TorchDistributedEnvironment()
    if address is None:
        # The name of a node need not be known to the node itself.
        address = "127.0.0.1" if submitit.JobEnvironment().num_nodes == 1 else environment.master_addr
    # Every rank takes its own of the GPUs that Slurm shows to all of them, so their list stays as Slurm made it.
    environment.export(set_cuda_visible_devices=False, overwrite=True)
    os.environ["MASTER_ADDR"] = address
