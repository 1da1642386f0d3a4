"""What NVIDIA's management library (NVML) says of the GPUs that this process may use.

The best effort of a witness: without the library, the driver or a GPU there is nothing to tell, and what a GPU or its
driver does not support is left out. NVML answers for JAX and PyTorch alike, without touching a GPU's memory.
Source of units and meanings: NVIDIA's NVML API reference, "Device Queries" and "NvmlClocksEventReasons".
"""

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

_BYTES_PER_GIB = 2**30
_MILLIWATTS_PER_WATT = 1_000
_NANOSECONDS_PER_SECOND = 1_000_000_000

# The bits of nvmlClocksEventReasons (nvmlClocksThrottleReasons before driver 535).
_THROTTLE_REASONS = {
    1 << 0: "gpu_idle",
    1 << 1: "applications_clocks_setting",
    1 << 2: "sw_power_cap",
    1 << 3: "hw_slowdown",
    1 << 4: "sync_boost",
    1 << 5: "sw_thermal_slowdown",
    1 << 6: "hw_thermal_slowdown",
    1 << 7: "hw_power_brake_slowdown",
    1 << 8: "display_clock_setting",
    1 << 9: "board_limit",
    1 << 10: "reliability",
}


def throttle_reasons(bits: int) -> list[str]:
    """NVML's bit mask in words; a bit that has no name here keeps its number."""
    set_bits = [1 << position for position in range(bits.bit_length()) if bits >> position & 1]
    return [_THROTTLE_REASONS.get(bit, f"{bit:#x}") for bit in set_bits]


def visible(uuids: Sequence[str], setting: str | None) -> list[int]:
    """Which of these GPUs CUDA shows where CUDA_VISIBLE_DEVICES is `setting`, in its order.

    Entries are indices or beginnings of UUIDs; the list ends at the first that is neither (CUDA's own rule).
    """
    if setting is None:
        return list(range(len(uuids)))
    chosen = []
    for entry in setting.split(","):
        named = [index for index, uuid in enumerate(uuids) if entry and (str(index) == entry or uuid.startswith(entry))]
        if len(named) != 1:
            break
        chosen += named
    return chosen


def devices() -> list[dict[str, Any]]:
    """`uuid`, `name` and `memory_gib` of each GPU that this process may use; none where NVML does not answer."""
    nvml = _library()
    return [] if nvml is None else [_answers(nvml, handle, _IDENTITY) for handle in _handles(nvml)]


def evidence() -> dict[str, Any]:
    """`driver`, and for each GPU its identity, clocks, power, temperature, throttling, memory errors and users.

    `violation_seconds` counts up from the driver's start: the difference of two calls is how long a GPU was slowed
    down for its power or its heat in between. Empty where NVML does not answer.
    """
    nvml = _library()
    if nvml is None:
        return {}
    gpus = [_answers(nvml, handle, {**_IDENTITY, **_STATE}) for handle in _handles(nvml)]
    return {"driver": nvml.nvmlSystemGetDriverVersion(), "gpus": gpus}


Query = Callable[[ModuleType, Any], Any]

_IDENTITY: Mapping[str, Query] = {
    "uuid": lambda nvml, gpu: nvml.nvmlDeviceGetUUID(gpu),
    "name": lambda nvml, gpu: nvml.nvmlDeviceGetName(gpu),
    "memory_gib": lambda nvml, gpu: round(nvml.nvmlDeviceGetMemoryInfo(gpu).total / _BYTES_PER_GIB),
}

_STATE: Mapping[str, Query] = {
    "sm_clock_mhz": lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
    "sm_clock_max_mhz": lambda nvml, gpu: nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_SM),
    "sm_clock_setting_mhz": lambda nvml, gpu: nvml.nvmlDeviceGetApplicationsClock(gpu, nvml.NVML_CLOCK_SM),
    "memory_clock_mhz": lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM),
    "power_watts": lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / _MILLIWATTS_PER_WATT,
    "power_limit_watts": lambda nvml, gpu: nvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / _MILLIWATTS_PER_WATT,
    "temperature_celsius": lambda nvml, gpu: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
    # The name that drivers before 535 know too: V100s often have one of those.
    "throttle_reasons": lambda nvml, gpu: throttle_reasons(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)),
    "violation_seconds": lambda nvml, gpu: {
        "power": _violation_seconds(nvml, gpu, nvml.NVML_PERF_POLICY_POWER),
        "thermal": _violation_seconds(nvml, gpu, nvml.NVML_PERF_POLICY_THERMAL),
    },
    "uncorrected_memory_errors": lambda nvml, gpu: nvml.nvmlDeviceGetTotalEccErrors(
        gpu, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
    ),
    "processes": lambda nvml, gpu: len(nvml.nvmlDeviceGetComputeRunningProcesses(gpu)),
}


def _violation_seconds(nvml: ModuleType, gpu: Any, policy: int) -> float:
    return nvml.nvmlDeviceGetViolationStatus(gpu, policy).violationTime / _NANOSECONDS_PER_SECOND


def _library() -> ModuleType | None:
    """NVML, ready to be asked. It counts how often it was made ready and costs nothing left so: it is never closed."""
    try:
        pynvml = importlib.import_module("pynvml")  # a machine without GPUs needs no such package
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _handles(nvml: ModuleType) -> list[Any]:
    """The GPUs that CUDA shows this process; one that is lost, or that the job may not open, has no number there."""
    handles, uuids = [], []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            uuids.append(nvml.nvmlDeviceGetUUID(handle))
        except nvml.NVMLError:
            continue
        handles.append(handle)
    return [handles[number] for number in visible(uuids, os.environ.get("CUDA_VISIBLE_DEVICES"))]


def _answers(nvml: ModuleType, handle: Any, queries: Mapping[str, Query]) -> dict[str, Any]:
    answers = {}
    for name, query in queries.items():
        try:
            answers[name] = query(nvml, handle)
        except nvml.NVMLError:
            continue
    return answers
