"""`snakemake` that asks Slurm after its jobs every two seconds; the executor asks ever more seldom, to spare it."""

import sys

from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor

if __name__ == "__main__":
    Executor.next_seconds_between_status_checks = property(lambda executor: 2, lambda executor, seconds: None)
    sys.exit(main())
