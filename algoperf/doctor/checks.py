"""Checks of this machine and its cluster: each is ok, or says how to mend it."""

import importlib.util
import os
import resource
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from algoperf.backends import load_backend
from algoperf.benchmark.facts import FRAMEWORKS, Framework, InfrastructureError, UsageError
from algoperf.benchmark.protocol import load_protocol
from algoperf.benchmark.registry import load_spec
from algoperf.doctor import survey
from algoperf.doctor.finding import Check, mend, note, ok
from algoperf.experiment import config, fitting, plan
from algoperf.experiment.config import Config
from algoperf.machine import cluster, hardware, installation, job
from algoperf.records.atomic import flush_folder, write_atomically
from algoperf.records.words import trouble
from algoperf.rehearsal import measured
from workloads.datasets.prepare import open_source

_PACKAGES = {"jax": "jax", "pytorch": "torch"}
_STYLES = {"ok": "green", "mend": "red", "note": "yellow"}

# Files that a process of a trial may have open at once, with what the frameworks and a submission open.
_OPEN_FILES = 512

# Seconds for a site's lines of shell: modules from a network disk are slow.
_SETUP_TIME_LIMIT = 60


def checks(config_file: Path) -> Iterator[Check]:
    """Everything that an experiment needs, in the order in which it needs it."""
    try:
        experiment = config.load(config_file)
        trials = plan.trials(experiment)
    except UsageError as error:
        yield mend("config", str(error))
        return
    yield ok("config", f"{config_file}: {len(trials)} trials of protocol {experiment.protocol}")
    frameworks = {entry.framework for entry in experiment.submissions}
    for framework in FRAMEWORKS:
        yield _framework(framework, is_needed=framework in frameworks)
    yield from _data(experiment)
    yield _results(experiment.results_dir)
    yield _cache()
    yield _open_files()
    try:
        site = cluster.load()
    except UsageError as error:
        yield mend("cluster description", str(error))
        return
    yield from _fit(experiment)
    yield _scratch(site)
    for framework in sorted(frameworks):
        yield _environment(framework, site.environment(framework))
    for entry in experiment.submissions:
        if entry.label in site.environments:
            yield _environment(entry.label, site.environments[entry.label])
    yield from survey.checks(experiment, site)
    yield _rehearsal(experiment)


def _framework(framework: Framework, is_needed: bool) -> Check:
    if importlib.util.find_spec(_PACKAGES[framework]) is None:
        advice = f"not installed: {installation.command(framework)}"
        return mend(framework, advice) if is_needed else note(framework, advice)
    accelerator = load_backend(framework).accelerator()
    if sentence := hardware.overlooked(accelerator, framework):
        return mend(framework, sentence) if is_needed else note(framework, sentence)
    return ok(framework, f"{accelerator['count']} x {accelerator['name']} ({accelerator['kind']})")


def _data(experiment: Config) -> Iterator[Check]:
    scale = load_protocol(experiment.protocol).scale
    for workload in plan.datasets(experiment).values():
        spec = load_spec(workload, scale)
        try:
            open_source(spec, "train", experiment.data_dir)
        except (UsageError, InfrastructureError) as error:
            yield mend(f"data {spec.dataset}", str(error))
        else:
            yield ok(f"data {spec.dataset}", str(experiment.data_dir / spec.dataset))


def _results(folder: Path) -> Check:
    """Whether what trials do can be done there, or where the folder would be made; it leaves nothing."""
    absolute = folder.absolute()
    try:
        existing = next(path for path in (absolute, *absolute.parents) if os.path.lexists(path))
        with tempfile.TemporaryDirectory(dir=existing, prefix=".doctor_") as scratch:
            lacking = _lacking(Path(scratch))
    except OSError as error:
        return mend("results", f"nothing can be written to {folder}: {trouble(error)}; results_dir names another")
    without = f"; it is done without {' and '.join(lacking)}, which its file system lacks" if lacking else ""
    return ok("results", f"{folder} can be written to{without}")


def _lacking(folder: Path) -> list[str]:
    """Writes to a folder as a trial does. What its file system lacks, which trials do without. Raises OSError."""
    write_atomically(folder / "file", bytes(2**20))
    lacking = [] if flush_folder(folder) else ["waiting for the disk"]
    try:
        (folder / "link").hardlink_to(folder / "file")
    except OSError:
        lacking.append("hard links")
    return lacking


def _open_files() -> Check:
    """Stores are mapped without open files; what else a trial and its submission open is some hundred."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < _OPEN_FILES:
        return note("open files", f"a process may have {limit:,}, which may not be enough: `ulimit -n {_OPEN_FILES}`")
    return ok("open files", f"a process may have {'any number' if limit == resource.RLIM_INFINITY else f'{limit:,}'}")


def _cache() -> Check:
    """Whether Snakemake, which keeps its cache in the home folder, can do so on this machine; nothing is left there."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute()
    try:
        tempfile.TemporaryFile(dir=next(path for path in (folder, *folder.parents) if path.exists())).close()
    except OSError:
        if job.current() is not None:
            return note("cache", f"{folder} cannot be written to on this node: the workflow's jobs bring their own")
        return mend("cache", f"{folder} cannot be written to: Snakemake needs `export XDG_CACHE_HOME=...` that can")
    return ok("cache", f"{folder} can be written to")


def _rehearsal(experiment: Config) -> Check:
    """When the cells were walked through last, for which code, and how that ended."""
    found = measured.records(experiment.results_dir, experiment.protocol)
    if not found:
        return note("rehearsal", "none yet: `snakemake rehearsal` walks through every cell in minutes")
    last = max(found, key=lambda record: record["done"])
    where = f"{last['hardware']['count']} x {last['hardware']['name']}" if last.get("hardware") else "unknown hardware"
    when = (
        f"{last['done'][:10]}, {len(found)} of the cells on {where}, code {(last['git_commit_hash'] or 'unknown')[:10]}"
    )
    if failing := [f"{record['workload']} with {record['submission']}" for record in found if record["failed"]]:
        return mend("rehearsal", f"{when}: {', '.join(failing)} failed; rehearsal.html says why")
    if last["git_commit_hash"] != hardware.git_commit(Path(__file__).parent):
        return note("rehearsal", f"{when}; the code is another now: remove {_folder(experiment)} and rehearse again")
    return ok("rehearsal", when)


def _folder(experiment: Config) -> Path:
    return measured.folder(experiment.results_dir, experiment.protocol)


def _fit(experiment: Config) -> Iterator[Check]:
    """Whether each workload fits into the accelerator with each submission, as far as that is known."""
    name = f"memory of {experiment.accelerator}"
    try:
        found = fitting.look(experiment)
    except UsageError as error:
        yield mend(name, str(error))
        return
    for sentence in found.unfit:
        yield mend(name, sentence)
    if found.fitting:
        yield ok(name, f"{found.fitting} of the config's workloads and submissions fit, by figures found before")
    if found.unknown:
        first = found.unknown[0]
        yield note(
            name,
            f"nothing is known of {first.workload} with {first.submission} in {first.framework} there, and of "
            f"{len(found.unknown) - 1} others: `algoperf fit` finds out",
        )


def _scratch(site: cluster.Cluster) -> Check:
    try:
        folder = site.scratch_folder()
    except UsageError as error:
        return note("scratch", f"{error} It has to be on the nodes.")
    if folder is None:
        return ok("scratch", "none: trials read their data where they lie")
    if not os.access(folder, os.W_OK):
        return note("scratch", f"{folder} cannot be written to on this machine; the nodes must have it")
    return ok("scratch", str(folder))


def _environment(whose: str, environment: cluster.Environment) -> Check:
    """Whether a job's lines of shell end with the command there, tried on this machine as a job would.

    whose: a framework, or a submission that has its own.
    """
    name = f"{whose} in jobs"
    program = shlex.split(environment.command)[0]
    script = f"{environment.setup}\ncommand -v {shlex.quote(program)}"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    try:
        done = subprocess.run(
            ["bash", "-c", script],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            timeout=_SETUP_TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return mend(name, f"the setup in {cluster.path()} does not end within {_SETUP_TIME_LIMIT} s")
    if done.returncode:
        words = " ".join(done.stderr.split()) or f"there is no {program}"
        return mend(name, f"{words}; see environments in {cluster.path()}")
    return ok(name, done.stdout.strip().splitlines()[-1])


def print_checks(config_file: Path) -> bool:
    """Whether all that is needed is there."""
    console = Console(highlight=False)
    is_ok = True
    for check in checks(config_file):
        console.print(Text.assemble((f"{check.mark:5}", _STYLES[check.mark]), f"{check.name}: {check.advice}"))
        is_ok = is_ok and check.mark != "mend"
    return is_ok
