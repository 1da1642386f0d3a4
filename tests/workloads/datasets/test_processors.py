"""How many processors a process may use: those of its job, not those of the machine."""

import os
import subprocess
import sys

import pytest

from tests.support.odd_machines import mounted
from workloads.datasets import processors

SAY = "from workloads.datasets import processors; print(processors.available(), processors.threads())"


def said(*before):
    done = subprocess.run([*before, sys.executable, "-c", SAY], capture_output=True, text=True, check=True)
    return tuple(map(int, done.stdout.split()))


def test_they_are_those_that_this_process_may_run_on():
    first = min(os.sched_getaffinity(0))
    assert said("taskset", "--cpu-list", str(first)) == (1, 5)
    assert 1 <= processors.available() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("groups", "files", "found"),
    [
        ("0::/job/step", {"job/cpu.max": "150000 100000", "job/step/cpu.max": "max 100000"}, 2),
        ("0::/job", {"job/cpu.max": "50000 100000"}, 1),
        ("0::/", {"cpu.max": "100000 100000"}, 1),  # a container: its own group is the root
        ("4:cpu,cpuacct:/job", {f"cpu,cpuacct/job/cpu.cfs_{name}_us": "100000" for name in ("quota", "period")}, 1),
        ("4:cpu:/job", {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"}, None),
        ("4:memory:/job", {"memory/job/cpu.cfs_quota_us": "100000", "memory/job/cpu.cfs_period_us": "100000"}, None),
        ("", {"cpu.max": "nonsense"}, None),
    ],
    ids=["version 2, from above", "half a processor", "container", "version 1", "no limit", "another kind", "nothing"],
)
def test_control_groups_may_give_less(tmp_path, groups, files, found):
    """The files of the kernel, as a site or a container would have them, for one process."""
    (tmp_path / "groups").write_text(f"{groups}\n" if groups else "")
    for name, content in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(f"{content}\n")
    script = f"mount --bind {tmp_path / 'fs'} /sys/fs/cgroup\nmount --bind {tmp_path / 'groups'} /proc/$$/cgroup"
    everyone = len(os.sched_getaffinity(0))
    available, _ = said(*mounted(script))
    assert available == min(everyone, found or everyone)
