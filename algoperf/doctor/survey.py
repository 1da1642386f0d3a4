"""What the live cluster is, against what its description and the config say of it."""

import math
from collections.abc import Iterable, Iterator, Sequence

from algoperf.benchmark.facts import InfrastructureError, UsageError
from algoperf.benchmark.protocol import load_protocol
from algoperf.benchmark.registry import load_spec
from algoperf.doctor.finding import Check, mend, note, ok
from algoperf.experiment import plan
from algoperf.experiment.config import Config
from algoperf.machine import answers, cluster, slurm
from algoperf.machine.resources import resources
from algoperf.machine.slurm import Node, Partition

_MEBIBYTES_PER_GIB = 1_024

# Below three times the seconds that Snakemake's executor waits before it asks (40), it asks sacct in squeue's place.
_MIN_JOB_AGE = 120

Kind = tuple[tuple[str, int], ...]


def checks(experiment: Config, site: cluster.Cluster) -> Iterator[Check]:
    """The controller, the config's accelerator, and the settings that trials depend on."""
    if not slurm.installed():
        yield note("Slurm", "no sbatch: trials run on this machine")
        return
    try:
        controller, partitions = slurm.config(), slurm.partitions()
    except InfrastructureError as error:
        is_needed = experiment.accelerator != cluster.LOCAL
        yield mend("Slurm", str(error)) if is_needed else note("Slurm", f"{error}; trials run on this machine")
        return
    yield ok("Slurm", f"{controller.get('SLURM_VERSION')}, cluster {controller.get('ClusterName')}")
    yield from _accelerator(experiment, site, partitions)
    yield from settings(controller)


def _accelerator(experiment: Config, site: cluster.Cluster, partitions: Sequence[Partition]) -> Iterator[Check]:
    name = f"accelerator {experiment.accelerator}"
    try:
        accelerator = site.accelerator(experiment.accelerator)
    except UsageError as error:
        yield mend(name, str(error))
        return
    partition = _partition(accelerator, partitions)
    if partition is None:
        names = ", ".join(partition.name for partition in partitions)
        wanted = "no default partition" if accelerator.partition is None else f"no partition {accelerator.partition}"
        yield mend(name, f"the cluster has {wanted} that you may use; it has {names}")
        return
    yield from _nodes(name, accelerator, partition)
    yield from _job(experiment, accelerator, partition)
    if refusal := slurm.refusal(_options(experiment, accelerator)):
        yield mend("submission", f"Slurm would refuse a trial's job: {refusal}")
    else:
        yield ok("submission", "Slurm would take a trial's job with all that it asks for")
    yield preemption(partition)


def _partition(accelerator: cluster.Accelerator, partitions: Iterable[Partition]) -> Partition | None:
    for partition in partitions:
        if partition.name == accelerator.partition or (accelerator.partition is None and partition.is_default):
            return partition
    return None


def _nodes(name: str, accelerator: cluster.Accelerator, partition: Partition) -> Iterator[Check]:
    """Whether all the nodes that Slurm may choose are alike and enough of them are up."""
    where = f"partition {partition.name}"
    if not partition.is_up:
        yield mend(name, f"{where} is down: ask the site, or name another")
    nodes = [node for node in partition.nodes if fits(node, accelerator)]
    if not nodes:
        has = "; ".join(f"{describe(alike)} have {gres(kind) or 'no GPU'}" for kind, alike in by_kind(partition.nodes))
        asked = accelerator.gres or accelerator.constraint
        yield mend(name, f"no node of {where} has {asked}: {has}")
        return
    kinds = by_kind(nodes)
    if len(kinds) > 1:
        yield mend(name, f"the nodes of {where} are not alike: {_apart(nodes)}")
    elif (per_node := sum(slurm.gpus(accelerator.gres or "").values())) and accelerator.count not in (None, per_node):
        yield mend(name, f"trials must find {accelerator.count} devices, but gres asks for {per_node} of a node")
    else:
        yield ok(name, f"{describe(nodes)} of {where}, each with {gres(kinds[0][0]) or 'no GPU'}")
    processors = {(node.cpus, round(node.memory_mib / _MEBIBYTES_PER_GIB)) for node in nodes}
    if len(processors) > 1:
        sizes = " and ".join(f"{cpus} CPUs with {memory} GiB" for cpus, memory in sorted(processors))
        yield note(name, f"its nodes differ in what feeds their devices: {sizes}; a constraint can separate them")
    up = sum(node.is_up for node in nodes)
    if up < accelerator.nodes:
        yield mend(name, f"{up} of its nodes take jobs now, and a trial needs {accelerator.nodes}")
    elif up < len(nodes):
        yield note(name, f"{len(nodes) - up} of its {len(nodes)} nodes take no jobs now")


def fits(node: Node, accelerator: cluster.Accelerator) -> bool:
    """Whether Slurm may give the node to a job that asks for the accelerator.

    Of constraints only names and their conjunction (a&b) are understood; others are taken to hold.
    """
    if accelerator.exclude is not None and node.name in slurm.hostnames(accelerator.exclude):
        return False
    names = (accelerator.constraint or "").replace(" ", "").split("&")
    if all(name.replace("_", "").replace("-", "").isalnum() for name in names) and not {*names} <= {*node.features}:
        return False
    for kind, count in slurm.gpus(accelerator.gres or "").items():
        if count > (node.gpus.get(kind, 0) if kind else sum(node.gpus.values())):
            return False
    return True


def by_kind(nodes: Iterable[Node]) -> list[tuple[Kind, list[Node]]]:
    """The nodes by what GPUs they have."""
    kinds: dict[Kind, list[Node]] = {}
    for node in nodes:
        kinds.setdefault(tuple(sorted(node.gpus.items())), []).append(node)
    return sorted(kinds.items())


def separating_feature(nodes: Sequence[Node], others: Sequence[Node]) -> str | None:
    """A feature that all of `nodes` have and none of `others` has: a constraint that separates them."""
    common = set.intersection(*({*node.features} for node in nodes))
    return min(common.difference(*(node.features for node in others)), default=None)


def gres(kind: Kind) -> str:
    """As a job asks for it."""
    return ",".join(f"gpu:{name}:{count}" if name else f"gpu:{count}" for name, count in kind)


def describe(nodes: Sequence[Node]) -> str:
    """The first names of nodes, and how many more there are."""
    names = ", ".join(node.name for node in nodes[:4])
    return names if len(nodes) <= 4 else f"{names} and {len(nodes) - 4} more"


def _apart(nodes: Sequence[Node]) -> str:
    """The kinds of nodes, and how to ask for one of them."""
    kinds = []
    for kind, alike in by_kind(nodes):
        feature = separating_feature(alike, [node for node in nodes if node not in alike])
        way = (
            f"constraint: {feature}" if feature else "a gres with its type" if kind else "no constraint separates them"
        )
        kinds.append(f"{describe(alike)} have {gres(kind) or 'no GPU'} ({way})")
    return "; ".join(kinds)


def _job(experiment: Config, accelerator: cluster.Accelerator, partition: Partition) -> Iterator[Check]:
    """Whether the partition takes the largest job of a trial, and how many jobs such a trial is at most."""
    asked = _asked(experiment, accelerator)
    nodes = [node for node in partition.nodes if fits(node, accelerator)]
    cpus = min((node.cpus for node in nodes), default=math.inf)
    memory = min((node.memory_mib for node in nodes), default=math.inf)
    if asked["cpus_per_task"] > cpus:
        yield mend("processors", f"trials ask for {asked['cpus_per_task']} CPUs, a node has {cpus}: add cpus: {cpus}")
    if asked["mem_mb"] > memory:
        less = memory // _MEBIBYTES_PER_GIB
        yield mend("memory", f"trials ask for {asked['mem_mb']} MiB, a node has {memory}: add memory_gib: {less}")
    limit, runtime = partition.time_limit, asked["runtime"]
    whole = _asked(experiment, accelerator.model_copy(update={"time_limit": None}))["runtime"]
    if limit is not None and runtime > limit:
        advice = f"jobs ask for {runtime} min, {partition.name} allows {limit}: add time_limit: {limit}"
        yield mend("time limit", f"{advice}, and trials of up to {whole} min cross it in pieces")
    elif whole > runtime:
        pieces = math.ceil(whole / runtime)
        yield ok("time limit", f"trials of up to {whole} min cross {runtime} min in {pieces} pieces of one job")
    else:
        yield ok("time limit", f"trials of up to {whole} min are one job each")


def _asked(experiment: Config, accelerator: cluster.Accelerator) -> dict[str, int]:
    """The most that any trial's job asks for."""
    protocol = load_protocol(experiment.protocol)
    specs = {workload: load_spec(workload, protocol.scale) for workload in plan.workloads(experiment)}
    jobs = [
        resources(accelerator, spec, plan.max_runtime(experiment, workload), protocol.eval_period(spec))
        for workload, spec in specs.items()
    ]
    return {name: max(job[name] for job in jobs) for name in ("cpus_per_task", "mem_mb", "runtime")}


def _options(experiment: Config, accelerator: cluster.Accelerator) -> Iterator[str]:
    """What sbatch is told for the largest job of a trial, apart from its time: that is looked at by itself."""
    asked = _asked(experiment, accelerator)
    yield from (f"--cpus-per-task={asked['cpus_per_task']}", f"--mem={asked['mem_mb']}", f"--nodes={accelerator.nodes}")
    for name in ("partition", "gres", "constraint", "account", "qos", "reservation", "exclude"):
        if (value := getattr(accelerator, name)) is not None:
            yield f"--{name}={value}"
    yield from ["--exclusive"] * accelerator.exclusive
    yield from accelerator.options


def preemption(partition: Partition) -> Check:
    name, modes = "preemption", partition.preemption.upper()
    if "CANCEL" in modes:
        return note(
            name,
            f"jobs of {partition.name} may be cancelled for others, and Snakemake would wait for such a job for ever: "
            "ask for PreemptMode=REQUEUE, a QOS or a partition that is not preempted",
        )
    if "SUSPEND" in modes or "GANG" in modes:
        return note(name, f"jobs of {partition.name} may be suspended: a trial's clock goes on while it stands still")
    return ok(name, "jobs are queued again" if "REQUEUE" in modes else f"jobs of {partition.name} are not preempted")


def settings(controller: dict[str, str]) -> Iterator[Check]:
    """What of the cluster's own settings a trial or Snakemake's executor depends on."""
    has_accounting = slurm.accounting_answers()
    if has_accounting:
        yield ok("accounting", "sacct answers")
    else:
        yield note("accounting", "sacct does not answer: not needed, but jobs' past and their efficiency are not told")
    age = answers.whole(controller.get("MinJobAge", "0"))
    if age >= _MIN_JOB_AGE:
        yield ok("job states", f"squeue tells of ended jobs for {age} s")
    elif has_accounting:
        yield note("job states", f"MinJobAge is {age} s, below {_MIN_JOB_AGE}: Snakemake asks sacct in squeue's place")
    else:
        yield mend("job states", f"MinJobAge is {age} s: Snakemake misses ended jobs; it takes {_MIN_JOB_AGE} or sacct")
    if controller.get("JobRequeue") == "1":
        yield ok("requeue", "jobs may be queued again")
    else:
        yield note("requeue", "JobRequeue is off: jobs that are submitted without --requeue cannot go on after a limit")
    tracker = controller.get("ProctrackType", "").rpartition("/")[2]
    if tracker == "cgroup":
        yield ok("processes", "a job's processes end with it")
    else:
        yield note("processes", f"ProctrackType is {tracker}: processes may outlive their job; cgroup ends them all")
