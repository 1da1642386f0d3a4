"""What this machine is: what `result.json` records, and the reproducibility data of `meta_data_<n>.json`."""

import functools
import platform
import subprocess
from pathlib import Path
from typing import Any

import psutil

_BYTES_PER_GIB = 2**30


@functools.cache
def cpu_name() -> str:
    """The processor's model name as Linux gives it, else as Python does."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def memory_gib() -> int:
    return round(psutil.virtual_memory().total / _BYTES_PER_GIB)


def machine() -> dict[str, Any]:
    """The host as the official `meta_data_<n>.json` names it; frequencies are None where the host does not tell."""
    frequency = psutil.cpu_freq()
    memory = psutil.virtual_memory()
    return {
        "os_platform": platform.platform(),
        "python_version": platform.python_version(),
        "python_compiler": platform.python_compiler(),
        "cpu_model_name": cpu_name(),
        "cpu_count": psutil.cpu_count(),
        "cpu.freq.current": frequency.current if frequency else None,
        "mem.total": memory.total,
        "mem.available": memory.available,
    }


def git_commit(folder: Path) -> str | None:
    """The commit of the checkout that holds `folder`, `+changes` where files differ from it; None outside of one."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True).stdout

    try:
        return git("rev-parse", "HEAD").strip() + ("+changes" if git("status", "--porcelain").strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return None
