"""What the machine says of itself."""

import json
import re
import subprocess
import sys
from types import SimpleNamespace

import pynvml
import pytest

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import hardware, nvml
from algoperf.machine.cluster import Accelerator

V100 = "Tesla V100-SXM2-16GB"


def test_the_machine_has_a_processor_and_memory():
    assert hardware.cpu_name()
    assert hardware.memory_gib() >= 1
    machine = hardware.machine()
    assert machine["cpu_count"] >= 1
    assert machine["mem.total"] >= machine["mem.available"] > 0


def test_the_commit_says_whether_files_differ_from_it(tmp_path):
    assert hardware.git_commit(tmp_path) is None

    def git(*arguments):
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first")
    commit = hardware.git_commit(tmp_path)
    assert len(commit) == 40
    (tmp_path / "file").write_text("2")
    assert hardware.git_commit(tmp_path) == commit + "+changes"
    (tmp_path / "packages").mkdir()  # of an environment in the checkout: whatever is there has another version
    (tmp_path / "packages" / "algoperf.py").touch()
    assert hardware.git_commit(tmp_path / "packages") is None


def test_a_processor_is_recorded_by_its_name():
    found = hardware.accelerator("cpu", "cpu", 2)
    assert found == {"kind": "cpu", "name": hardware.cpu_name(), "count": 2, "memory_gib": hardware.memory_gib()}


def test_without_nvml_the_framework_names_the_gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml.devices() == []
    assert nvml.evidence() == {}
    assert hardware.accelerator("gpu", V100, 8) == {"kind": "gpu", "name": V100, "count": 8, "memory_gib": None}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Accelerator(device="v100", count=8), (V100, 8)),
        (Accelerator(device="V100", count=8, nodes=2), (V100, 16)),
        (Accelerator(device="V100"), (V100, 3)),
        (Accelerator(count=1), ("any processor", 1)),
        (Accelerator(), ("any processor", 7)),
    ],
)
def test_hardware_that_was_asked_for_passes(wanted, found):
    hardware.check({"name": found[0], "count": found[1]}, "v100", wanted)


@pytest.mark.parametrize(
    ("wanted", "found", "named"),
    [
        (Accelerator(device="V100", count=8), ("NVIDIA A100-SXM4-40GB", 8), "8 x NVIDIA A100"),
        (Accelerator(device="V100", count=8), (V100, 4), "4 x Tesla V100"),
        (Accelerator(device="V100", count=8, nodes=2), (V100, 8), "16 x V100"),
        (Accelerator(device="V100"), (f"NVIDIA A100 + {V100}", 2), "2 x NVIDIA A100 + Tesla"),
    ],
)
def test_other_hardware_is_refused_and_both_are_named(wanted, found, named):
    with pytest.raises(InfrastructureError, match=re.escape(named)) as refused:
        hardware.check({"name": found[0], "count": found[1]}, "v100", wanted)
    assert "this trial is for v100" in str(refused.value)


def test_evidence_can_be_written_into_a_result(monkeypatch):
    for variable, value in {"SLURM_JOB_ID": "7", "SLURM_JOB_PARTITION": "v100", "SLURMD_NODENAME": "v100-1"}.items():
        monkeypatch.setenv(variable, value)
    evidence = json.loads(json.dumps(hardware.evidence()))
    assert evidence["slurm"] == {"job": "7", "partition": "v100", "node": "v100-1"}
    assert evidence["host"]
    assert evidence["cpus"] >= 1


def test_throttle_reasons_have_names():
    assert nvml.throttle_reasons(0) == []
    assert nvml.throttle_reasons(1 | 4 | 64) == ["gpu_idle", "sw_power_cap", "hw_thermal_slowdown"]
    assert nvml.throttle_reasons(1 << 20) == ["0x100000"]


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("2,0", [2, 0]),
        ("GPU-bb", [1]),
        ("1,GPU-aa", [1, 0]),
        ("0,9,1", [0]),
        ("GPU-,0", []),
        ("-1,0", []),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(setting, shown):
    assert nvml.visible(["GPU-aa", "GPU-bb", "GPU-cc"], setting) == shown


class _NVMLError(Exception):
    pass


def _refuse(*arguments):
    raise _NVMLError("Not Supported")


def test_what_a_gpu_does_not_support_is_left_out(monkeypatch):
    """NVML's answers as its documentation gives them: this machine has no GPU."""
    answers = {
        "nvmlInit": None,
        "nvmlSystemGetDriverVersion": "535.1",
        "nvmlDeviceGetCount": 3,
        "nvmlDeviceGetName": V100,
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=16_945_512_448),
        "nvmlDeviceGetEnforcedPowerLimit": 300_000,
        "nvmlDeviceGetCurrentClocksThrottleReasons": 4,
        "nvmlDeviceGetViolationStatus": SimpleNamespace(referenceTime=1, violationTime=2_500_000_000),
        "nvmlDeviceGetComputeRunningProcesses": [object()],
    }
    library = {name: lambda *arguments, answer=answer: answer for name, answer in answers.items()}
    library |= {
        "NVMLError": _NVMLError,
        "nvmlDeviceGetHandleByIndex": lambda index: _refuse() if index == 1 else index,
        "nvmlDeviceGetUUID": lambda handle: f"GPU-{handle}",
        **dict.fromkeys(("NVML_PERF_POLICY_POWER", "NVML_PERF_POLICY_THERMAL", "NVML_CLOCK_SM", "NVML_CLOCK_MEM"), 0),
        **dict.fromkeys(("NVML_TEMPERATURE_GPU", "NVML_MEMORY_ERROR_TYPE_UNCORRECTED", "NVML_VOLATILE_ECC"), 0),
    }
    library |= dict.fromkeys(
        (
            *("nvmlDeviceGetClockInfo", "nvmlDeviceGetMaxClockInfo", "nvmlDeviceGetApplicationsClock"),
            *("nvmlDeviceGetPowerUsage", "nvmlDeviceGetTemperature", "nvmlDeviceGetTotalEccErrors"),
        ),
        _refuse,
    )
    assert set(library) <= set(dir(pynvml))
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(**library))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")  # the job may not open GPU 1: CUDA's number 1 is GPU 2
    assert nvml.evidence() == {
        "driver": "535.1",
        "gpus": [
            {
                "uuid": "GPU-2",
                "name": V100,
                "memory_gib": 16,
                "power_limit_watts": 300.0,
                "throttle_reasons": ["sw_power_cap"],
                "violation_seconds": {"power": 2.5, "thermal": 2.5},
                "processes": 1,
            }
        ],
    }
    assert hardware.accelerator("gpu", "as JAX says", 1)["name"] == V100
    assert hardware.accelerator("gpu", "as JAX says", 1)["memory_gib"] == 16


WITNESSES = ["psutil.cpu_freq", "psutil.virtual_memory", "psutil.cpu_times", "psutil.cpu_count", "os.getloadavg"]


@pytest.mark.parametrize("witness", [*WITNESSES, "algoperf.machine.nvml.evidence"])
@pytest.mark.parametrize("error", [FileNotFoundError("cpu0"), NotImplementedError(), ValueError("0x"), RuntimeError()])
def test_a_witness_that_cannot_tell_silences_no_other(monkeypatch, witness, error):
    """As `psutil.cpu_freq` on hosts that show half of their frequencies."""

    def refuses(*arguments, **named):
        raise error

    whole = {**hardware.evidence(), **hardware.machine()}
    monkeypatch.setattr(witness, refuses)
    found = {**hardware.evidence(), **hardware.machine()}
    silent = {name for name in whole if found.get(name) is None and whole[name] is not None}
    assert len(silent) <= 2  # memory has two values
    assert {name for name in whole if name not in found} <= {"driver", "gpus"}


def test_gpus_that_a_framework_does_not_see_are_said(monkeypatch):
    monkeypatch.setattr(nvml, "devices", lambda: [{"name": V100}] * 2)
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    assert "jax does not see the 2 x Tesla V100" in hardware.overlooked({"kind": "cpu"}, "jax")
    assert hardware.overlooked({"kind": "gpu"}, "jax") is None
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert hardware.overlooked({"kind": "cpu"}, "jax") is None
    monkeypatch.setattr(nvml, "devices", list)
    assert hardware.overlooked({"kind": "cpu"}, "pytorch") is None
