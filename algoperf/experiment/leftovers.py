"""Jobs that an earlier run of the workflow left behind: a killed Snakemake does not take its jobs along.

They are asked to save and to end, and the new run goes on from what they saved. Waiting for them instead would keep the
new run from the trials that nobody works on.
"""

import time
from collections.abc import Callable, Collection
from pathlib import Path

from algoperf.benchmark.identity import Trial
from algoperf.machine import slurm
from algoperf.machine.interruption import TAKE_OVER

# What `slurm-jobname-prefix` in profiles/slurm/profile.yaml is.
PREFIX = "algoperf"

# Seconds that a job has to end its step or evaluation and to save; one that takes longer goes on from its checkpoint.
PATIENCE = 300.0
# Seconds that Slurm may take to end a job that does not.
_ENDED_WITHIN = 120.0


def comment(trial: Trial, results: Path) -> str:
    """What Snakemake's Slurm executor says of a trial's job: the rule and the wildcards, in the order of its output."""
    wildcards = (results, trial.ruleset, trial.label, trial.study, trial.framework, trial.trial)
    return f"rule_trial_{trial.workload}_wildcards_{'_'.join(map(str, wildcards))}".replace("/", "_")


def end(comments: Collection[str], workdir: Path, say: Callable[[str], None], patience: float = PATIENCE) -> None:
    """Ends the jobs with these comments that were submitted from `workdir`: other experiments' jobs go on.

    Raises InfrastructureError where Slurm does not answer.
    """

    def left() -> list[slurm.Job]:
        return [
            job
            for job in slurm.my_jobs()
            if job.name.startswith(f"{PREFIX}_") and Path(job.workdir) == workdir and job.comment in comments
        ]

    if not (jobs := left()):
        return
    say(f"{len(jobs)} jobs of an earlier run are still there; they save and end, and this run goes on from there.")
    slurm.cancel(job.handle for job in jobs if job.state == "PENDING")
    slurm.signal((job.handle for job in jobs if job.state != "PENDING"), TAKE_OVER.name.removeprefix("SIG"))
    if not _becomes_empty(left, patience):
        slurm.cancel(job.handle for job in left())
        if not _becomes_empty(left, _ENDED_WITHIN):
            say("Some of them do not end; the lock of each trial keeps this run from writing what they write.")


def _becomes_empty(left: Callable[[], Collection[slurm.Job]], patience: float) -> bool:
    deadline = time.monotonic() + patience
    while left():
        if time.monotonic() > deadline:
            return False
        time.sleep(1)
    return True
