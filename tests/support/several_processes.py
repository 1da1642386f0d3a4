"""Runs a function in several processes, joined as those of a trial are: by the variables of torchrun.

Each process writes the arrays that the function returns, by name, to `rank_<i>.npz`; `run` gives them back in order.
"""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import REPOSITORY
from tests.support.ports import free_ports

# XLA's flags where compiling takes longer than what is compiled.
QUICK_COMPILATION = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
_LIMIT = 240.0

Task = Callable[..., Mapping[str, Any]]


def start(task: Task, arguments: list[str], processes: int, devices: int, folder: Path) -> list[subprocess.Popen]:
    """Starts `task(*arguments)` in each process; what they print goes to `log_<i>`. devices: CPUs that JAX sees."""
    (port,) = free_ports(1)
    flags = f"{QUICK_COMPILATION} --xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XLA_FLAGS": flags}
    if processes > 1:
        environment |= {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    started = []
    for rank in range(processes):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {}
        program = [
            "tests.support.several_processes",
            task.__module__,
            task.__name__,
            folder / f"rank_{rank}.npz",
            *arguments,
        ]
        with (folder / f"log_{rank}").open("w") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", *program],
                    env=environment | place,
                    cwd=REPOSITORY,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
    return started


def stop(started: list[subprocess.Popen]) -> None:
    for process in started:
        process.kill()
        process.wait()


def run(task: Task, arguments: list[str], processes: int, folder: Path, devices: int = 1) -> list[dict[str, Any]]:
    """What the task returns in each process. Fails where one of them does, with what it printed."""
    started = start(task, arguments, processes, devices, folder)
    try:
        for rank, process in enumerate(started):
            assert process.wait(_LIMIT) == 0, (folder / f"log_{rank}").read_text()
    finally:
        stop(started)
    return [dict(np.load(folder / f"rank_{rank}.npz")) for rank in range(processes)]


def main() -> None:
    module, name, result, *arguments = sys.argv[1:]
    task = getattr(importlib.import_module(module), name)
    np.savez(result, **task(*arguments))


if __name__ == "__main__":
    main()
