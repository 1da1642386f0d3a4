"""What this machine is: what `result.json` records, and the reproducibility data of `meta_data_<n>.json`."""

import functools
import importlib.metadata
import os
import platform
import socket
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import nvml
from algoperf.machine.cluster import Accelerator
from workloads.datasets import processors

_BYTES_PER_GIB = 2**30
_SLURM = {"job": "SLURM_JOB_ID", "partition": "SLURM_JOB_PARTITION", "node": "SLURMD_NODENAME"}
_VERSIONED = ("algoperf-snakemake", "flax", "jax", "jaxlib", "numpy", "optax", "schedulefree", "torch", "triton")
# NVIDIA's libraries, and the packages that bring them to JAX, for CUDA 12 and 13.
_LIBRARIES = {
    "CUDA": ("nvidia-cuda-runtime-cu12", "nvidia-cuda-runtime"),
    "cuDNN": ("nvidia-cudnn-cu12", "nvidia-cudnn-cu13"),
    "NCCL": ("nvidia-nccl-cu12", "nvidia-nccl-cu13"),
    "cuBLAS": ("nvidia-cublas-cu12", "nvidia-cublas"),
}
_SEVERAL = " + "  # between the names of unlike devices


@functools.cache
def cpu_name() -> str:
    """The processor's model name as Linux gives it, else as Python does."""
    cpuinfo = _told(lambda: Path("/proc/cpuinfo").read_text("utf-8")) or ""
    for line in cpuinfo.splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def memory_gib() -> int:
    return round(psutil.virtual_memory().total / _BYTES_PER_GIB)


def accelerator(kind: str, name: str, count: int) -> dict[str, Any]:
    """What a trial's `result.json` says it ran on: `kind`, `name`, `count` and `memory_gib` (None: unknown or unlike).

    kind: cpu, gpu or tpu. name: the framework's name of the device. count: devices in all processes. A GPU has the name
    and the memory that NVML gives it, so that JAX and PyTorch record the same; GPUs of several names are all named.
    """
    if kind == "cpu":
        return {"kind": kind, "name": cpu_name(), "count": count, "memory_gib": memory_gib()}
    gpus = nvml.devices() if kind == "gpu" else []
    if not gpus:
        return {"kind": kind, "name": name, "count": count, "memory_gib": None}
    names = {gpu.get("name", name) for gpu in gpus}
    memories = {gpu.get("memory_gib") for gpu in gpus}
    memory = memories.pop() if len(memories) == 1 else None
    return {"kind": kind, "name": _SEVERAL.join(sorted(names)), "count": count, "memory_gib": memory}


def fits(found: Mapping[str, Any], wanted: Accelerator) -> bool:
    """Whether `found` (of `accelerator`) is what `wanted` describes, as far as that says anything."""
    names = str(found["name"]).split(_SEVERAL)
    is_device = wanted.device is None or all(wanted.device.lower() in name.lower() for name in names)
    return is_device and (wanted.count is None or found["count"] == wanted.count * wanted.nodes)


def check(found: dict[str, Any], name: str, wanted: Accelerator) -> None:
    """Raises InfrastructureError, which names both, where `found` (of `accelerator`) is not what `name` stands for."""
    if not fits(found, wanted):
        count = found["count"] if wanted.count is None else wanted.count * wanted.nodes
        raise InfrastructureError(
            f"this trial is for {name}, {count} x {wanted.device or 'any device'}, but {socket.gethostname()} gives it "
            f"{found['count']} x {found['name']}."
        )


# Products by Triton fail to compile for A100 and H100 in some steps of attention and in 1x1 convolutions
# (openxla/xla 47381); the official harness does without them, too.
XLA_FLAG = "--xla_gpu_enable_triton_gemm=false"


def evidence() -> dict[str, Any]:
    """How the machine is doing: taken at the beginning and at the end of a session, it shows what disturbed its timing.

    frequency_mhz, governor: of the processors; load: of the last minute; steal_seconds: taken by other guests of the
    same host since its start. What the host does not tell is None. For `driver` and `gpus` see `nvml.evidence`.
    """
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return {
        "host": socket.gethostname(),
        "slurm": {name: os.environ[variable] for name, variable in _SLURM.items() if variable in os.environ},
        "cpus": processors.available(),
        "frequency_mhz": _told(lambda: psutil.cpu_freq().current),
        "governor": _told(lambda: governor.read_text("utf-8").strip()),
        "load": _told(lambda: os.getloadavg()[0]),
        "steal_seconds": _told(lambda: psutil.cpu_times().steal),
        **(_told(nvml.evidence) or {}),
    }


def _told(ask: Callable[[], Any]) -> Any:
    """What a witness tells, None where it does not: hosts and containers refuse in many ways, and no trial needs it."""
    try:
        return ask()
    except Exception:
        return None


def machine() -> dict[str, Any]:
    """The host as the official `meta_data_<n>.json` names it; None where it does not tell."""
    memory = _told(psutil.virtual_memory)
    return {
        "os_platform": platform.platform(),
        "python_version": platform.python_version(),
        "python_compiler": platform.python_compiler(),
        "cpu_model_name": cpu_name(),
        "cpu_count": _told(psutil.cpu_count),
        "cpu.freq.current": _told(lambda: psutil.cpu_freq().current),
        "mem.total": _told(lambda: memory.total),
        "mem.available": _told(lambda: memory.available),
    }


def git_commit(folder: Path) -> str | None:
    """The commit of the checkout that holds `folder`, `+changes` where files differ from it; None outside of one.

    A folder inside of a checkout that is none of its files, such as an environment's packages, is outside of it.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", folder, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=True
        ).stdout

    try:
        git("ls-files", "--error-unmatch", ".")
        return git("rev-parse", "HEAD").strip() + ("+changes" if git("status", "--porcelain").strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def nvidia_libraries() -> dict[str, str]:
    """The versions of NVIDIA's libraries that are installed as packages."""
    return {name: found for name, packages in _LIBRARIES.items() if (found := "/".join(_versions(packages).values()))}


def overlooked(found: Mapping[str, Any], framework: str) -> str | None:
    """A sentence where `found` (of `accelerator`) is a processor, though this process may use GPUs; else None."""
    gpus = nvml.devices() if found["kind"] == "cpu" else []
    if not gpus or os.environ.get("JAX_PLATFORMS") == "cpu":
        return None
    return (
        f"{framework} does not see the {len(gpus)} x {gpus[0].get('name', 'GPU')} of this machine and computes on its "
        "processor: install the framework's build for GPUs (docs/cluster.md), or set CUDA_VISIBLE_DEVICES to nothing "
        "where that is meant."
    )


def versions() -> dict[str, str]:
    """Of the packages that a trial is computed by, as far as they are installed."""
    return _versions(_VERSIONED)


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
