"""Runs a function in several processes, joined as those of a trial are: by the variables of torchrun.

Each process writes the arrays that the function returns, by name, to `rank_<i>.npz`; `run` gives them back in order.
They are forked by one that has imported both frameworks: importing takes longer than most of what is run.
"""

import atexit
import importlib
import multiprocessing
import multiprocessing.forkserver
import os
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.support.patience import PATIENCE
from tests.support.ports import free_ports

# XLA's flags where compiling takes longer than what is compiled.
QUICK_COMPILATION = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
# What is imported before the first process is forked, by framework. None of it starts threads yet.
NEEDED = {
    "pytorch": ("algoperf.backends.pytorch", "workloads.criteo1tb.model_pytorch", "torch._dynamo"),
    "jax": ("algoperf.backends.jax", "workloads.criteo1tb.model_jax", "optax"),
}

Task = Callable[..., Mapping[str, Any]]


def start(task: Task, arguments: list[str], processes: int, devices: int, folder: Path) -> list[BaseProcess]:
    """Starts `task(*arguments)` in each process; what they print goes to `log_<i>`. devices: CPUs that JAX sees."""
    (port,) = free_ports(1)
    flags = f"{QUICK_COMPILATION} --xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XLA_FLAGS": flags}
    if processes > 1:
        environment |= {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.conftest", *NEEDED["pytorch"], *NEEDED["jax"]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # which is read by what is imported
        patch.chdir(REPOSITORY)
        multiprocessing.forkserver.ensure_running()
    started = []
    for rank in range(processes):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {}
        of_task = (task.__module__, task.__name__, folder / f"rank_{rank}.npz", arguments)
        arguments_of_process = (environment | place, folder / f"log_{rank}", *of_task)
        process = context.Process(target=_process, args=arguments_of_process, daemon=True)
        process.start()
        started.append(process)
    return started


def stop(started: list[BaseProcess]) -> None:
    for process in started:
        process.kill()
        process.join()


def run(task: Task, arguments: list[str], processes: int, folder: Path, devices: int = 1) -> list[dict[str, Any]]:
    """What the task returns in each process. Fails where one of them does, with what it printed."""
    started = start(task, arguments, processes, devices, folder)
    try:
        for rank, process in enumerate(started):
            process.join(PATIENCE)
            said = (folder / f"log_{rank}").read_text()
            assert process.exitcode == 0, f"process {rank}: exit code {process.exitcode} (None: it goes on)\n{said}"
    finally:
        stop(started)
    return [dict(np.load(folder / f"rank_{rank}.npz")) for rank in range(processes)]


def _process(
    environment: dict[str, str], log: Path, module: str, name: str, result: Path, arguments: list[str]
) -> None:
    """A process from its beginning to its end."""
    os.environ.clear()
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    try:
        task = getattr(importlib.import_module(module), name)
        np.savez(result, **task(*arguments))
    finally:
        atexit._run_exitfuncs()  # which a process of multiprocessing leaves out; JAX says there that it ends
