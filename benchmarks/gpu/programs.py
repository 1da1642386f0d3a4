"""What is looked at in processes of their own: JAX's steps, trials, ranks."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from algoperf.benchmark.facts import FRAMEWORKS
from benchmarks.gpu.steps import BATCH, Row, Steps

REPOSITORY = Path(__file__).resolve().parents[2]
_COMPILING_AT_ONCE = 4
_BEFORE_IT_IS_STOPPED = 15  # seconds
_TRIALS = ("wmt", "librispeech_deepspeech", "ogbg", "finewebedu_lm")
_RANKS = ("imagenet_resnet", "librispeech_deepspeech", "wmt")

# (stage, variables) -> its rows, from a process of its own.
Run = Callable[[str, dict[str, str]], list[Row]]


def jax_resnet(is_tiny: bool, run: Run) -> Iterator[Row]:
    """XLA once aborted in the 1x1 convolutions of this step."""
    del is_tiny
    has_gpu = Path("/dev/nvidiactl").exists()
    for flags in ("", *(["--xla_gpu_enable_triton_gemm=false"] if has_gpu else [])):  # XLA for CPUs refuses the flag
        rows = run("jax:imagenet_resnet", {"XLA_FLAGS": flags})
        seen = rows[-1].seen if rows else "nothing"
        compiles = bool(rows) and rows[-1].holds is not False
        yield Row(f"jax imagenet_resnet, XLA_FLAGS={flags!r}", "compiles", seen, compiles)


def jax(is_tiny: bool, run: Run) -> Iterator[Row]:
    """They compile at the same time and share the device: times are of a device that does more than this."""
    with ThreadPoolExecutor(1 if is_tiny else _COMPILING_AT_ONCE) as pool:
        for rows in pool.map(lambda name: run(f"jax:{name}", {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}), BATCH):
            yield from rows


def jax_one(name: str, is_tiny: bool) -> Iterator[Row]:
    yield Steps(name, "jax", is_tiny).row(f"jax {name}", 1 if is_tiny else 8)


def trial(is_tiny: bool, run: Run) -> Iterator[Row]:
    """Trials of the mini protocol; the first one is told to stop, and goes on."""
    del run
    data = REPOSITORY / "data"
    if not (data / "trans_de_en").is_dir():
        yield Row("mini trials", "results", "no prepared mini data here", None)
        return
    for name in _TRIALS[:1] if is_tiny else _TRIALS:
        for framework in FRAMEWORKS[1:] if is_tiny else FRAMEWORKS:
            with tempfile.TemporaryDirectory() as out:
                command = [
                    *(sys.executable, "-m", "algoperf", "trial", "--workload", name, "--framework", framework),
                    *("--submission", "nadamw", "--protocol", "mini", "--ruleset", "external", "--study", "0"),
                    *("--trial", "1", "--out", out, "--data-dir", str(data), *(["--max-steps", "20"] * is_tiny)),
                ]
                codes = [_stopped(command)] if name == _TRIALS[0] and not is_tiny else []
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                path = Path(out, "result.json")
                result = json.loads(path.read_text()) if path.exists() else {"status": done.stderr[-300:]}
                shown = {key: result.get(key) for key in ("status", "time_to_target", "global_step", "preemptions")}
                seen = f"exit codes {[*codes, done.returncode]}, {shown}"
                yield Row(f"mini trial of {name} in {framework}", "a result", seen, path.exists())


def _stopped(command: list[str]) -> int:
    """The exit code of a trial that is told to stop after a while."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(_BEFORE_IT_IS_STOPPED)
    process.send_signal(signal.SIGUSR2)
    return process.wait()


def two_ranks(is_tiny: bool, run: Run) -> Iterator[Row]:
    """Everything of several processes but NCCL."""
    del run
    for name in ("ogbg",) if is_tiny else _RANKS:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python"),
                *(sys.executable, "-m", "benchmarks.gpu_check", "--part", f"rank:{name}", *["--tiny"] * is_tiny),
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            cwd=REPOSITORY,
            check=False,
        )
        told = [line for line in done.stdout.splitlines() if line.startswith("[")]
        why = "" if done.returncode == 0 else " ".join(done.stderr.split())[-200:]
        is_good = done.returncode == 0 and len(told) == 2
        yield Row(f"two ranks, {name}", "both step", f"exit code {done.returncode}, {len(told)} did {why}", is_good)
