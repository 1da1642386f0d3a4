"""What a run of the workflow does on a cluster before its first job, in the process that submits."""

import atexit
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from algoperf.benchmark.identity import Trial
from algoperf.experiment import left_out, leftovers
from algoperf.machine import resources, slurm
from algoperf.machine.cluster import Accelerator


def begin(
    executor: Any, accelerator: Accelerator, trials: Iterable[Trial], results: Path, say: Callable[[str], None]
) -> None:
    """Ends what an earlier run has left, and arranges how Snakemake's executor for Slurm submits the jobs of this one.

    Raises InfrastructureError where Slurm does not answer.
    """
    # The executor's commands and the jobs get this environment.
    slurm.prepare_environment(os.environ)
    os.environ.update(resources.variables(accelerator))
    # Where a job's Snakemake puts its cache: nodes may lack the home folder, or must not write to it.
    os.environ["XDG_CACHE_HOME"] = str(Path(".snakemake", "cache").absolute())
    leftovers.end({leftovers.comment(trial, results) for trial in trials}, Path.cwd(), say)
    left_out.forget(results)
    atexit.register(left_out.forget, results)
    executor._failed_nodes = left_out.NodesLeftOut(accelerator, executor.run_uuid, results, say)
