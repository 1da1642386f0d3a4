"""What a trial's job asks of Slurm, in the words of Snakemake's executor for it."""

import math
import shlex
from collections.abc import Iterator
from typing import Any

from algoperf.benchmark.facts import WorkloadSpec
from algoperf.machine import interruption
from algoperf.machine.cluster import Accelerator

# Slurm looks at the time of its jobs once a minute, so it would give a shorter notice at any moment, or at the start.
_SHORTEST_NOTICE = 60


def cpus(accelerator: Accelerator, spec: WorkloadSpec) -> int:
    """CPUs of each node that a job for a trial asks for."""
    return accelerator.cpus or spec.needs.cpus


def resources(accelerator: Accelerator, spec: WorkloadSpec, max_runtime: float, eval_period: float) -> dict[str, Any]:
    """What a job for a trial of this workload asks for.

    max_runtime, eval_period: seconds of charged time, of the longest trial and between its evaluations.
    """
    minutes = _minutes(accelerator, spec, max_runtime, eval_period)
    asked = {
        "slurm_partition": accelerator.partition,
        "slurm_account": accelerator.account,
        "gres": None if "," in (accelerator.gres or "") else accelerator.gres,
        "constraint": accelerator.constraint,
        "qos": accelerator.qos,
        "nodes": accelerator.nodes,
        "cpus_per_task": cpus(accelerator, spec),
        "mem_mb": 1_024 * (accelerator.memory_gib or spec.needs.memory_gib),
        "runtime": minutes,
        "slurm_extra": " ".join(_further_options(accelerator, spec, minutes)),
    }
    return {name: value for name, value in asked.items() if value is not None}


def _minutes(accelerator: Accelerator, spec: WorkloadSpec, max_runtime: float, eval_period: float) -> int:
    """How long a job may take: the longest budget, its evaluations, half an hour around them; at most the limit.

    What takes longer is queued again and goes on.
    """
    evaluations = spec.needs.evaluation_time * (1 + max_runtime / eval_period)
    minutes = math.ceil((max_runtime + evaluations) / 60) + 30
    return min(minutes, accelerator.time_limit or minutes)


def _further_options(accelerator: Accelerator, spec: WorkloadSpec, minutes: int) -> Iterator[str]:
    if accelerator.exclusive:
        yield "--exclusive"
    if accelerator.reservation is not None:
        yield f"--reservation={shlex.quote(accelerator.reservation)}"
    notice = interruption.notice(60 * minutes, spec.needs.evaluation_time)
    if notice >= _SHORTEST_NOTICE:  # a job that gets no notice watches its end by itself
        yield f"--signal=USR2@{notice}"
    yield from map(shlex.quote, accelerator.options)


def variables(accelerator: Accelerator) -> dict[str, str]:
    """What sbatch reads from its environment: several generic resources, of which the executor takes one."""
    return {"SBATCH_GRES": accelerator.gres} if "," in (accelerator.gres or "") else {}
