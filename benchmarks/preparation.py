"""How long does the preparation of the full scale take, and in how much memory?

    python -m benchmarks.preparation [DATASET ...]

Raw files of exactly the real form are written in two sizes (raw_files.py) and prepared by the command's own code,
each in a process of its own on one core. What the larger took more than the smaller is the speed, without the start;
the full set's hours are extrapolated from it, on one core, and on 32 where it has so many parts. Peak memory stands
there for both sizes: it should be the same. All is in the page cache: a disk has to keep up with the rates. The
reference implementation publishes no times of its preparation ("several hours"). What came out stands in docs/data.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import raw_files


@dataclasses.dataclass(frozen=True)
class Full:
    """The full set. unit: of its size. units: how many. parts: made at once at most. sizes: that are measured."""

    unit: str
    units: int
    parts: int
    sizes: tuple[int, int]


FULL = {
    "criteo1tb": Full("rows", 4_373_472_329, 24, (200_000, 800_000)),
    "fastmri": Full("slices", 41_877, 1, (36, 180)),  # an archive of xz is unpacked by one core
    "finewebedu": Full("documents", 9_672_101, 148, (1_000, 6_000)),
    "imagenet": Full("images", 1_341_167, 1_002, (400, 4_400)),
    "librispeech": Full("seconds of sound", 3_517_000, 180, (1_800, 10_800)),
    "ogbg": Full("graphs", 437_929, 2, (10_000, 40_000)),
    "wmt": Full("pairs", 5_912_187, 95, (30_000, 150_000)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="*", metavar="DATASET", help=f"of {', '.join(FULL)}; all if none is given")
    parser.add_argument("--one", nargs=3, metavar=("DATASET", "RAW", "DATA_DIR"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        prepare_one(*arguments.one)
        return
    print(f"{'':12}{'a core':>26}{'raw MB/s':>10}{'peak MB of both':>17}{'hours, 1 core':>15}{'32 cores':>10}")
    for name in arguments.datasets or FULL:
        report(name, FULL[name])


def report(name: str, full: Full) -> None:
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for size in full.sizes:
            raw, data_dir = Path(folder) / f"raw{size}", Path(folder) / f"data{size}"
            raw_files.write(name, raw, size)
            raw_bytes = sum(file.stat().st_size for file in raw.rglob("*") if file.is_file())
            command = [sys.executable, "-m", "benchmarks.preparation", "--one", name, str(raw), str(data_dir)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            runs.append({**json.loads(done.stdout), "bytes": raw_bytes})
    small, large = runs
    seconds = large["seconds"] - small["seconds"]
    rate = (full.sizes[1] - full.sizes[0]) / seconds
    megabytes = (large["bytes"] - small["bytes"]) / seconds / 1e6
    hours = full.units / rate / 3600
    peaks = f"{small['peak'] / 1e6:,.0f}, {large['peak'] / 1e6:,.0f}"
    print(
        f"{name:12}{f'{rate:,.0f} {full.unit}/s':>26}{megabytes:10,.1f}{peaks:>17}{hours:15,.2f}"
        f"{hours / min(32, full.parts):10,.2f}",
        flush=True,
    )


def prepare_one(name: str, raw: str, data_dir: str) -> None:
    """Prints processor seconds and peak memory of the preparation, in one process on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    start = time.process_time()
    raw_files.prepare(name, Path(raw), Path(data_dir), lambda what, done, total: None)
    # `ru_maxrss` would count what the process that started this one had.
    (line,) = (line for line in Path("/proc/self/status").read_text("utf-8").splitlines() if line.startswith("VmHWM"))
    peak = 1024 * int(line.split()[1])
    print(json.dumps({"seconds": time.process_time() - start, "peak": peak}))


if __name__ == "__main__":
    main()
