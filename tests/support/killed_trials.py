"""Sessions of a little trial in processes of their own, so that they really end: SIGKILL, SIGUSR2, a full disk.

One process has imported all that a trial needs, and forks the processes of each session: importing takes longer than a
little trial does.
"""

import ctypes
import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from algoperf.benchmark import registry
from algoperf.benchmark.facts import Framework, InfrastructureError
from algoperf.machine.interruption import InterruptionError, Watch
from algoperf.referee import compiled
from tests.conftest import REPOSITORY
from tests.support.little_trials import made, run
from tests.support.odd_machines import preloaded
from tests.support.patience import PATIENCE
from tests.support.ports import free_ports
from tests.support.several_processes import NEEDED, QUICK_COMPILATION

_GRACE = 20.0  # seconds that the other processes of a session have left where one of them fails
_PAUSE = 0.02


@dataclasses.dataclass(frozen=True)
class End:
    """what: kill, USR2 or full (of a disk). change: before which change of the trial's folder, counted from 1 in each
    process. rank: the process to which it comes."""

    what: str
    change: int
    rank: int = 0


@dataclasses.dataclass(frozen=True)
class Left:
    """How a process has ended.

    kind: `killed`, `result`, `InterruptionError`, `InfrastructureError`, or the name of what else was raised. what: the
    result, or the sentence. changes: of the trial's folder by this process.
    """

    kind: str
    what: Any = None
    changes: int = 0


class Sessions:
    """Ask with `session`, as often as wanted."""

    def __init__(self, process: subprocess.Popen):
        self._process = process

    def session(
        self,
        submission: Path,
        out: Path,
        data: Sequence[Path],
        framework: Framework,
        processes: int = 1,
        end: End | None = None,
    ) -> list[Left]:
        """One session of a trial, in so many processes; how each has ended. data: as for `little_trials.made`.

        Raises AssertionError where it hangs.
        """
        asked = {
            "submission": str(submission),
            "out": str(out),
            "data": list(map(str, data)),
            "framework": framework,
            "processes": processes,
            "end": None if end is None else dataclasses.asdict(end),
        }
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, "the process that forks is gone"
        found = json.loads(answer)
        assert isinstance(found, list), found
        return [Left(**left) for left in found]


@contextmanager
def sessions(framework: Framework, log: Path, with_own_caches: bool) -> Iterator[Sessions]:
    """log: where what processes print goes. with_own_caches: whether each trial keeps what it compiles to itself;
    else all share it.
    """
    environment = {**preloaded(), "OMP_NUM_THREADS": "1", "XLA_FLAGS": QUICK_COMPILATION}
    if with_own_caches:
        del environment[compiled.SHARED]
    environment["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # a pool of processes would outlive what is killed
    environment["TMPDIR"] = str(log.with_name("temporary"))  # what is killed takes nothing away
    log.with_name("temporary").mkdir()
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.killed_trials", framework],
            env=environment,
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield Sessions(process)
        finally:
            process.stdin.close()  # by which it ends


def main() -> None:
    """Reads what is asked from standard input, a line each, and answers with a line."""
    framework = sys.argv[1]
    compiled.CompileCaches().announce()  # before a framework is imported
    for name in NEEDED[framework]:
        importlib.import_module(name)
    registry.workload_names()  # for which it imports all specs
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a trial prints is no answer
    for line in sys.stdin:
        print(json.dumps(_session(json.loads(line))), file=answers, flush=True)


def _session(asked: dict[str, Any]) -> list[dict[str, Any]] | str:
    """How the processes have ended; a sentence where they do not."""
    (port,), found, codes = free_ports(1), {}, {}
    for rank in range(asked["processes"]):
        reading, writing = os.pipe()
        if (pid := os.fork()) == 0:
            os.close(reading)
            _process(asked, rank, port, os.fdopen(writing, "w"))
        os.close(writing)
        found[pid] = os.fdopen(reading)
    deadline = time.monotonic() + PATIENCE
    is_hung = False
    while len(codes) < len(found):
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in found:
            codes[pid] = os.waitstatus_to_exitcode(status)
            if codes[pid] != 0:  # as srun and torchrun do
                deadline = min(deadline, time.monotonic() + _GRACE)
        elif time.monotonic() > deadline:
            is_hung = is_hung or not any(codes.values())
            for other in set(found) - set(codes):
                os.kill(other, signal.SIGKILL)
            time.sleep(_PAUSE)
        else:
            time.sleep(_PAUSE)
    if is_hung:
        return f"the trial in {asked['out']} hangs"
    answers = []
    for pid, pipe in found.items():
        with pipe:
            text = pipe.read()
        is_killed = codes[pid] == -signal.SIGKILL
        answers.append({"kind": "killed"} if is_killed else json.loads(text or f'{{"kind": "code {codes[pid]}"}}'))
    return answers


def _process(asked: dict[str, Any], rank: int, port: int, answer: Any) -> None:
    """A process of the trial, from its beginning to its end."""
    code = 1
    try:
        if (processes := asked["processes"]) > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        end = asked["end"] or {"what": "nothing", "change": 0, "rank": rank}
        if end["rank"] == rank:
            os.environ["ENDS"] = f"{end['what']} {end['change']} {asked['out']}"
        watch = Watch(lambda: 0.0)
        watch.listen()
        kind = "result"
        try:
            data = tuple(map(Path, asked["data"]))
            what = run(made(Path(asked["submission"]), Path(asked["out"]), data, asked["framework"]), watch=watch)
        except BaseException as error:
            traceback.print_exc()
            kinds = [cls for cls in (InterruptionError, InfrastructureError) if isinstance(error, cls)]
            kind, what = (*kinds, type(error))[0].__name__, str(error)
        os.environ.pop("ENDS", None)
        changes = ctypes.CDLL(None).changes()
        print(json.dumps({"kind": kind, "what": what, "changes": changes}), file=answer, flush=True)
        sys.stdout.flush()
        sys.stderr.flush()
        code = int(kind != "result")
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
