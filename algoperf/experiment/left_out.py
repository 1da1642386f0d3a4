"""Nodes that a run of the workflow leaves out: those that the site excludes, and those on which its jobs die at once.

A broken node is always free, so that trial after trial would die on it. What a run has learned of nodes is forgotten
with it: the next one finds out again.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import slurm
from algoperf.machine.cluster import Accelerator, is_list_of_nodes
from algoperf.records.atomic import write_json

FILE = "left_out.json"

# A node is left out when so many jobs in a row have failed on it, each within so many seconds.
IN_A_ROW = 2
EARLY = 600.0

# Seconds for which the controller's answer is good enough while many jobs are submitted.
_PERIOD = 2.0

# Ends that may be the node's fault. Of a job that was cancelled, or took too much memory, the node is not to blame.
_FAILED = {"BOOT_FAIL", "FAILED", "LAUNCH_FAILED", "NODE_FAIL"}


def suspects(jobs: Mapping[str, slurm.Job]) -> dict[str, list[slurm.Job]]:
    """Nodes on which the last jobs of a run have failed at once -> these jobs, at least IN_A_ROW of them.

    jobs: its jobs that have ended, by id. A trial that fails on several nodes is not counted: it owes that to itself.
    """
    of_one_node = [job for job in jobs.values() if len(slurm.hostnames(job.nodes)) == 1]
    failed_on: dict[str, set[str]] = {}
    for job in filter(_has_failed_early, of_one_node):
        failed_on.setdefault(job.comment, set()).add(job.nodes)
    found: dict[str, list[slurm.Job]] = {}
    for job in sorted(of_one_node, key=lambda job: job.ends or 0.0):
        if _has_failed_early(job):
            if len(failed_on[job.comment]) == 1:
                found.setdefault(job.nodes, []).append(job)
        elif job.state == "COMPLETED" or _lasted(job) > EARLY:
            found.pop(job.nodes, None)
    return {node: failed for node, failed in found.items() if len(failed) >= IN_A_ROW}


def _has_failed_early(job: slurm.Job) -> bool:
    return job.state in _FAILED and _lasted(job) <= EARLY


def _lasted(job: slurm.Job) -> float:
    return 0.0 if job.begun is None or job.ends is None else job.ends - job.begun


class NodesLeftOut(set[str]):
    """Takes the place of the set of failed nodes that Snakemake's executor keeps, and asks for at each submission.

    Its own would keep the words "None assigned", which Slurm gives for the nodes of a job that waits again, and each
    later submission would fail of them (snakemake-executor-plugin-slurm 2.8.0, issue 485 there).
    """

    def __init__(self, accelerator: Accelerator, run: str, results: Path, say: Callable[[str], None]):
        """run: the name of the run's jobs. results: where it is written down which nodes it leaves out, and why."""
        super().__init__([] if accelerator.exclude is None else [accelerator.exclude])
        self._accelerator, self._run, self._file, self._say = accelerator, run, results / FILE, say
        self._ended: dict[str, slurm.Job] = {}
        self._why: dict[str, str] = {}
        self._looked_at = -_PERIOD
        self._is_asked = threading.Lock()  # jobs are submitted by two threads

    def add(self, nodes: str) -> None:
        """Of the executor: nodes that Slurm says have failed, or words for none."""
        if is_list_of_nodes(nodes) and nodes not in self._why:
            self._leave_out(nodes, "Slurm says that it failed")

    def __len__(self) -> int:
        """Looks at what has become of the run's jobs by now."""
        with self._is_asked:
            if time.monotonic() - self._looked_at >= _PERIOD:
                with contextlib.suppress(InfrastructureError, OSError):  # who does not know leaves out nothing
                    self._look()
                self._looked_at = time.monotonic()
        return super().__len__()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(super().__iter__()))

    def _look(self) -> None:
        jobs = [job for job in slurm.all_my_jobs() if job.name == self._run]
        self._ended.update({job.id: job for job in jobs if job.has_ended})
        known = {name for nodes in self for name in slurm.hostnames(nodes)}
        found = {node: failed for node, failed in suspects(self._ended).items() if node not in known}
        for node, failed in found.items():
            if self._leaves_enough(node, known):
                known.add(node)
                ids = " and ".join(job.shown for job in failed[-IN_A_ROW:])
                self._leave_out(node, f"jobs {ids} failed on it within {EARLY / 60:.0f} minutes, one after the other")
        if self._why:
            for job in jobs:
                if job.state == "PENDING":
                    with contextlib.suppress(InfrastructureError):  # it has begun meanwhile
                        slurm.leave_out(self, job)

    def _leaves_enough(self, node: str, left_out: set[str]) -> bool:
        """Whether half of the nodes that are like this one are still there: where more fail, it is not the nodes."""
        for partition in slurm.partitions():
            is_meant = partition.is_default if self._accelerator.partition is None else partition.name in self._names
            if is_meant and (this := next((one for one in partition.nodes if one.name == node), None)) is not None:
                alike = {one.name for one in partition.nodes if (one.gpus, one.features) == (this.gpus, this.features)}
                return 2 * len(alike & {*left_out, node}) <= len(alike)
        return False

    @property
    def _names(self) -> list[str]:
        return (self._accelerator.partition or "").split(",")

    def _leave_out(self, nodes: str, why: str) -> None:
        super().add(nodes)
        self._why[nodes] = why
        self._say(f"{nodes} is left out by the jobs that this run submits from now on: {why}.")
        write_json(self._file, self._why)


def forget(results: Path) -> None:
    """What a run has learned, at its end, or at the next one's beginning."""
    (results / FILE).unlink(missing_ok=True)


def known(results: Path) -> dict[str, str]:
    """Nodes that the run into a results folder leaves out -> why."""
    try:
        return {str(nodes): str(why) for nodes, why in json.loads((results / FILE).read_bytes()).items()}
    except (OSError, ValueError, AttributeError):
        return {}
