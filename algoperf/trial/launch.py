"""How the processes of a trial are started: one for each node in JAX, one for each GPU in PyTorch.

`algoperf trial` starts itself again in the shape that its job allows: through `srun` inside of a Slurm job, through
`torchrun` on a machine with several GPUs. The new processes find what they are in their environment (`ranks.py`).
In a job the trial is a step of its own: only a step's own tasks get Slurm's signals.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from algoperf.benchmark.facts import Framework
from algoperf.machine import cluster, job, nvml
from algoperf.machine.cluster import Cluster, Environment

# Says to the processes of a trial that they are, so that they do not start themselves again.
STARTED = "ALGOPERF_STARTED"

# Says that the trial is in its submission's own environment.
ENTERED = "ALGOPERF_ENTERED"

_MODULE = ("-m", "algoperf")


def is_started(environ: Mapping[str, str]) -> bool:
    """Whether this process is one of a trial's: started by `command`, by torchrun, or by a person's own `srun`."""
    is_own_step = "SLURM_STEP_ID" in environ and environ.get("SLURM_TASK_PID") == str(os.getpid())
    return STARTED in environ or "LOCAL_RANK" in environ or is_own_step


def site(accelerator: str) -> Cluster:
    """The cluster, in a job or where an accelerator of it is asked for; else one that asks for nothing.

    A job that this process is not in is left first, see `job.confirm`. Raises as that and `cluster.load` do.
    """
    is_in_job = job.confirm(is_started(os.environ), lambda sentence: print(sentence, file=sys.stderr, flush=True))
    return cluster.load() if is_in_job or accelerator != cluster.LOCAL else Cluster()


def into_environment(environment: Environment | None, environ: Mapping[str, str]) -> list[str] | None:
    """The command before `trial ...` that runs it in the submission's own environment, on a machine outside of any job.

    None where it has none, or where this process is in it already. In a job `command` does so.
    """
    if environment is None or ENTERED in environ or "SLURM_JOB_ID" in environ or is_started(environ):
        return None
    return _in(environment)


def command(framework: Framework, environment: Environment, environ: Mapping[str, str]) -> list[str] | None:
    """The command before `trial ...` that starts the trial's processes; None where this process is all there is."""
    if is_started(environ):
        return None
    if "SLURM_JOB_ID" in environ:
        return [*_srun(framework, environ), *_in(environment)]
    num_gpus = len(nvml.devices()) if framework == "pytorch" else 0
    if num_gpus > 1:
        return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_gpus}", *_MODULE]
    return None


def _srun(framework: Framework, environ: Mapping[str, str]) -> list[str]:
    """One step over the job's nodes. A task that fails ends the others: they would wait for it for ever."""
    num_nodes = int(environ.get("SLURM_JOB_NUM_NODES", 1))
    num_tasks = max(1, int(environ.get("SLURM_GPUS_ON_NODE", 1))) if framework == "pytorch" else 1
    cpus = max(1, int(environ.get("SLURM_CPUS_ON_NODE", 1)) // num_tasks)
    threads = f"OMP_NUM_THREADS={cpus},MKL_NUM_THREADS={cpus}"  # in place of Snakemake's, which knows of no tasks
    return [
        *("srun", "--overlap", "--kill-on-bad-exit=1", f"--export=ALL,{threads}", f"--nodes={num_nodes}"),
        *(f"--ntasks={num_nodes * num_tasks}", f"--ntasks-per-node={num_tasks}", f"--cpus-per-task={cpus}"),
    ]


def _in(environment: Environment) -> list[str]:
    """What runs `algoperf` in a framework's environment: its lines of shell, then its command.

    Until the trial listens, the notice that its job will end is passed over: there is nothing to save yet.
    """
    return ["bash", "-c", f'trap "" USR2\n{environment.setup}\nexec {environment.command} "$@"', "algoperf"]


def run(starter: Sequence[str], arguments: Sequence[str], is_finished: Callable[[], bool], mark: str = STARTED) -> int:
    """Runs the trial's processes and gives their exit code: 0 only where they left its result, whoever of them failed.

    mark: the variable that tells them so. A submission may end its process with any code.
    """
    environment = {**os.environ, mark: "1", job.STARTED_IN: os.environ.get("SLURM_JOB_ID", "")}
    code = subprocess.run([*starter, *arguments], env=environment, check=False).returncode
    return 0 if is_finished() else code or 1
