"""A real Slurm on this machine, for tests: its own ports, keys and folders, several slurmd under the names of nodes.

Five nodes: v100-1 and v100-2, a100-1 and h200-1 of eight GPUs each, which are device files without hardware, and cpu-1.
On h200-1 there are two of another generic resource, `nvme`, too.
A partition for each kind, `v100_hi`, which preempts `v100`, `mixed`, which holds unlike GPUs and stops jobs after four
hours, and `hidden` with the node `cpu-1`. Job steps are tracked and their memory is limited by control groups where
this machine lets us.
"""

import contextlib
import dataclasses
import os
import re
import secrets
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import REPOSITORY
from tests.support.patience import wait_until
from tests.support.ports import free_ports

GPUS = 8
NODES = {"v100-1": "v100", "v100-2": "v100", "a100-1": "a100", "h200-1": "h200", "cpu-1": "cpu"}
CLIENTS = ("sacct", "sacctmgr", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun", "sstat")
CONTROL_GROUPS = Path("/sys/fs/cgroup")
TEMPLATES = REPOSITORY / "tests" / "data" / "slurm"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A cluster under `folder`. variables: what a process needs in its environment to use it."""

    folder: Path
    variables: dict[str, str]
    _daemons: dict[str, subprocess.Popen] = dataclasses.field(default_factory=dict)

    def run(self, *command: str | Path) -> str:
        """What one of Slurm's commands prints. Raises subprocess.CalledProcessError where it fails."""
        return subprocess.run(command, check=True, capture_output=True, text=True, env=self.environment).stdout

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with the cluster in it, and no job of another one."""
        return {key: value for key, value in os.environ.items() if not key.startswith("SLURM")} | self.variables

    def start_controller(self) -> None:
        self.start_daemon("slurmctld", "slurmctld", "-D")
        wait_until(lambda: _succeeds(self, "scontrol", "show", "partition"), "controller")

    def restart(self, daemon: str, *command: str, seconds: float) -> None:
        """Kills a daemon and starts it again some seconds later, with what it had written down."""
        self._end(daemon)
        time.sleep(seconds)
        self.start_daemon(daemon, *command)

    def start_node(self, name: str) -> None:
        (self.folder / "spool" / name).mkdir(parents=True, exist_ok=True)
        self.start_daemon(name, "slurmd", "-D", "-N", name)
        wait_until(lambda: self.node_state(name) == "idle", f"idle {name}")

    def kill_node(self, name: str) -> None:
        """What a power failure does: every process of the node is gone at once."""
        self._end(name)
        self._kill_processes(name)

    def node_state(self, name: str) -> str:
        return self.run("sinfo", "--noheader", f"--nodes={name}", "--format=%T").split("\n")[0]

    def start_daemon(self, name: str, *command: str | Path) -> None:
        """A child that ends with this process, whatever ends it."""
        with (self.folder / "log" / f"{name}.out").open("ab") as output:
            self._daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
                cwd=self.folder,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Kills everything, the daemons in the reverse of the order in which they were started: nothing is kept."""
        for name in reversed(list(self._daemons)):
            self._end(name)
        for name in NODES:
            self._kill_processes(name)
            _remove_control_groups(name)

    def _end(self, daemon: str) -> None:
        process = self._daemons.pop(daemon)
        process.kill()
        process.wait()

    def _kill_processes(self, node: str) -> None:
        """Slurm's step daemons and their jobs are no children of ours: known by their log, and by their environment."""
        steps, jobs = [], []
        log = str(self.folder / "log" / f"slurmd-{node}.log")
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.name() == "slurmstepd" and log in [file.path for file in process.open_files()]:
                    process.suspend()  # it would tell the controller that its job died
                    steps.append(process)
                variables = process.environ()
                is_ours = str(self.folder / "bin") in variables.get("PATH", "").split(":")
                if is_ours and variables.get("SLURMD_NODENAME") == node:
                    jobs.append(process)
        for process in steps + jobs:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(steps + jobs, timeout=5)


def start(folder: Path, accounting: bool) -> Cluster:
    """A cluster whose nodes are idle. Raises TimeoutError where one of its daemons does not come up: see folder/log."""
    for name in ("bin", "dev", "log", "run", "state"):
        (folder / name).mkdir(parents=True)
    path = f"{folder / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin"
    cluster = Cluster(folder, {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": path})
    try:
        _configure(folder, accounting)
        _start_munge(cluster)
        if accounting:
            _start_accounting(cluster)
        cluster.start_controller()
        for name in NODES:
            cluster.start_node(name)
    except BaseException:
        cluster.stop()
        raise
    return cluster


def _configure(folder: Path, accounting: bool) -> None:
    """Writes every file that the daemons and the commands read."""
    *node_ports, controller_port, accounting_port, database_port = free_ports(len(NODES) + 3)
    facts = {
        "folder": folder,
        "host": socket.gethostname().split(".")[0],
        "controller_port": controller_port,
        "accounting_port": accounting_port,
        "database_port": database_port,
        "first_job": 1000 * (1 + os.getpid() % 10_000),
        "proctrack": "cgroup" if _can_use_control_group("freezer") else "linuxproc",
        "task": "cgroup" if _can_use_control_group("memory") else "none",
    }
    facts["nodes"] = "\n".join(
        f"NodeName={name} NodeHostname={facts['host']} NodeAddr=127.0.0.1 Port={port} CPUs=64 RealMemory=64000 "
        f"Feature={kind}"
        + ("" if kind == "cpu" else f" Gres=gpu:{kind}:{GPUS}")
        + (",nvme:2" if kind == "h200" else "")
        for (name, kind), port in zip(NODES.items(), node_ports, strict=True)
    )
    facts["accounting"] = (TEMPLATES / "accounting.conf").read_text().format(**facts) if accounting else ""
    for name in ("slurm.conf", "slurmdbd.conf", "database.sql"):
        (folder / name).write_text((TEMPLATES / name).read_text().format(**facts))
    (folder / "slurmdbd.conf").chmod(0o600)
    (folder / "plugstack.conf").touch()
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nConstrainRAMSpace=yes\n")
    _make_gpus(folder)
    for client in CLIENTS:
        # Snakemake's job steps drop the variables of Slurm, SLURM_CONF among them; a site's file is in /etc.
        wrapper = folder / "bin" / client
        settings = f"${{SLURM_CONF:-{folder}/slurm.conf}}"
        wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={settings} exec {shutil.which(client)} "$@"\n')
        wrapper.chmod(0o755)


def _make_gpus(folder: Path) -> None:
    """GPUs are copies of the device /dev/null; where none can be made, plain files, which Slurm counts all the same."""
    lines = ["AutoDetect=off", "NodeName=h200-1 Name=nvme Count=2"]
    for name, kind in NODES.items():
        if kind == "cpu":
            continue
        for index in range(GPUS):
            device = folder / "dev" / f"{name}-gpu{index}"
            try:
                os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
            except PermissionError:
                device.touch()
        lines.append(f"NodeName={name} Name=gpu Type={kind} File={folder}/dev/{name}-gpu[0-{GPUS - 1}]")
    (folder / "gres.conf").write_text("\n".join(lines) + "\n")


def _start_munge(cluster: Cluster) -> None:
    run = cluster.folder / "run"
    (run / "munge.key").write_bytes(secrets.token_bytes(128))
    (run / "munge.key").chmod(0o600)
    files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    options = [f"--{option}={run}/munge.{suffix}" for option, suffix in files.items()]
    cluster.start_daemon("munged", "munged", "--foreground", "--force", *options)
    wait_until((run / "munge.socket").exists, "munged")


def _start_accounting(cluster: Cluster) -> None:
    """A database, the daemon before it, and an account `proj` that the user may charge."""
    data, sock = cluster.folder / "database", cluster.folder / "run" / "database.sock"
    install = ("--no-defaults", "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db")
    cluster.run("mariadb-install-db", *install, f"--datadir={data}")
    port = (cluster.folder / "slurmdbd.conf").read_text().partition("StoragePort=")[2].split()[0]
    options = ("--no-defaults", "--user=root", "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=64M")
    cluster.start_daemon("mariadbd", "mariadbd", *options, f"--datadir={data}", f"--socket={sock}", f"--port={port}")
    client = ("mariadb", "--no-defaults", f"--socket={sock}", "--user=root")
    wait_until(lambda: _succeeds(cluster, *client, "--execute=select 1"), "mariadbd")
    cluster.run(*client, f"--execute=source {cluster.folder / 'database.sql'}")
    cluster.start_daemon("slurmdbd", "slurmdbd", "-D")
    wait_until(lambda: _succeeds(cluster, "sacctmgr", "--noheader", "show", "cluster"), "slurmdbd")
    for entity in (("cluster", "test"), ("account", "proj", "cluster=test"), ("user", "root", "account=proj")):
        cluster.run("sacctmgr", "--immediate", "add", *entity)


def _succeeds(cluster: Cluster, *command: str) -> bool:
    try:
        cluster.run(*command)
    except subprocess.CalledProcessError:
        return False
    return True


def _can_use_control_group(controller: str) -> bool:
    """Whether Slurm 22 can: control groups of version 1 that this user may add to."""
    folder = CONTROL_GROUPS / controller / f"algoperf_test_{os.getpid()}"
    try:
        folder.mkdir()
        folder.rmdir()
    except OSError:
        return False
    return True


def _remove_control_groups(node: str) -> None:
    """Slurm leaves them behind; those that another cluster on this machine still uses cannot be removed."""
    for folder in sorted(CONTROL_GROUPS.glob(f"*/slurm_{node}/**/"), reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _session(tmp_path_factory: pytest.TempPathFactory, accounting: bool) -> Iterator[Cluster]:
    needed = ["slurmctld", "slurmd", "munged"] + ["slurmdbd", "mariadbd"] * accounting
    if missing := [daemon for daemon in needed if shutil.which(daemon, path=f"{os.environ['PATH']}:/usr/sbin") is None]:
        pytest.skip(f"a real Slurm needs {', '.join(missing)}, not installed here")
    if os.getuid() != 0:
        pytest.skip("a real Slurm with its own nodes is started by root only")
    cluster = start(tmp_path_factory.mktemp("slurm") / "cluster", accounting)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def slurm_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster without accounting: sacct is there and answers nothing."""
    yield from _session(tmp_path_factory, accounting=False)


@pytest.fixture(scope="session")
def slurm_cluster_with_accounting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from _session(tmp_path_factory, accounting=True)


@pytest.fixture
def on_cluster(slurm_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The cluster without accounting, as the one that this process belongs to."""
    for name, value in slurm_cluster.variables.items():
        monkeypatch.setenv(name, value)
    return slurm_cluster


@pytest.fixture
def without_controller(slurm_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process asks a controller that is down, and does not ask for long."""
    settings = (slurm_cluster.folder / "slurm.conf").read_text()
    nobody = re.sub(r"(?m)^SlurmctldPort=.*$", f"SlurmctldPort={free_ports(1)[0]}\nMessageTimeout=1", settings)
    (tmp_path / "slurm.conf").write_text(nobody)
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
