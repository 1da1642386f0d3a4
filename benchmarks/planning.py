"""How long does Snakemake take to plan many trials, and with how much memory?

    python benchmarks/planning.py

A dry run of the whole workflow, in a process of its own: experiments of 1,000, 3,000 and 10,000 mini trials, and the
full v0.5 for ten submissions (10 x 14 workloads x 25 trials). The submissions are copies of `nadamw` under names of
their own in a temporary folder; each counts once in JAX and once in PyTorch. Limits: 5 s for 1,000 trials, 15 s for the
full benchmark, and growth in proportion. CPU seconds stand beside the wall clock's, because machines are shared.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from algoperf.benchmark.facts import FRAMEWORKS
from algoperf.experiment import config, plan
from algoperf.submission.loading import SUBMISSIONS

REPOSITORY = Path(__file__).parent.parent
PROTOCOLS_AND_FOLDERS = (("mini", 125), ("mini", 375), ("mini", 1_250), ("v0.5", 5))


def main() -> None:
    print(f"{'protocol':8} {'trials':>7} {'seconds':>8} {'ms/trial':>9} {'CPU s':>7} {'peak MiB':>9} {'KiB/trial':>10}")
    for protocol, num_folders in PROTOCOLS_AND_FOLDERS:
        with tempfile.TemporaryDirectory() as folder:
            experiment = write_experiment(Path(folder), protocol, num_folders)
            trials = len(plan.trials(config.load(experiment)))
            seconds, cpu_seconds, peak = plan_with_snakemake(experiment)
        print(
            f"{protocol:8} {trials:7,} {seconds:8.1f} {1e3 * seconds / trials:9.2f} {cpu_seconds:7.1f} "
            f"{peak / 1_024:9.0f} {peak / trials:10.0f}",
            flush=True,
        )


def write_experiment(folder: Path, protocol: str, num_folders: int) -> Path:
    """The config of an experiment with `num_folders` submissions in each framework."""
    copies = [folder / f"nadamw_{number}" for number in range(num_folders)]
    for copy in copies:
        shutil.copytree(SUBMISSIONS / "nadamw", copy)
    content = {
        "protocol": protocol,
        "submissions": [{"name": str(copy), "framework": framework} for copy in copies for framework in FRAMEWORKS],
        "data_dir": str(folder / "data"),
        "results_dir": str(folder / "results"),
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def plan_with_snakemake(experiment: Path) -> tuple[float, float, int]:
    """Wall-clock seconds, CPU seconds and peak memory in KiB of a dry run."""
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/local", "--configfile", experiment, "-n"]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, code, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(code)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


if __name__ == "__main__":
    main()
