"""How long the commands that must feel instant take to start, beside the bare interpreter.

Run: python benchmarks/startup.py
"""

import statistics
import subprocess
import sys
import time

ROUNDS = 5
COMMANDS = {
    "python": ["-c", "pass"],
    "algoperf --help": ["-m", "algoperf", "--help"],
    "algoperf plan": ["-m", "algoperf", "plan", "--config", "config/full.yaml"],
    "algoperf status": ["-m", "algoperf", "status"],
    "algoperf workloads": ["-m", "algoperf", "workloads"],
    "import of scoring": ["-c", "import scoring.command, scoring.tables.leaderboard"],
    "Snakefile's own part": [
        "-c",
        "import yaml; from algoperf import workflow; workflow.read(yaml.safe_load(open('config/full.yaml')))",
    ],
}


def seconds(arguments: list[str]) -> float:
    """Wall-clock seconds of one run."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    return time.perf_counter() - start


def main() -> None:
    runs = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            runs[name].append(seconds(arguments))
    bare = statistics.median(runs["python"])
    print(f"{'command':22} {'median s':>9} {'x bare':>7}")
    for name, times in runs.items():
        print(f"{name:22} {statistics.median(times):9.3f} {statistics.median(times) / bare:7.1f}")


if __name__ == "__main__":
    main()
