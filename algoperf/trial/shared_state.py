"""The checkpoint of several processes: each one's state comes back to it, and what all have is there once."""

from pathlib import Path
from typing import Any

import numpy as np

from algoperf.backends import Backend
from algoperf.benchmark.facts import InfrastructureError
from algoperf.records import checkpoint, shares
from algoperf.records.checkpoint import CheckpointError
from algoperf.trial import journal
from algoperf.trial.journal import Journal


def read(out: Path, backend: Backend) -> dict[str, Any] | None:
    """The newest checkpoint, whose `own` is this process's; None where there is none. Involves all processes.

    All go on from the same one, which the first process has found whole. Raises CheckpointError where none is, and
    where it was written by more or fewer processes than there are now.
    """
    directory, (rank, processes) = out / journal.CHECKPOINTS, backend.shard
    saved, damaged = checkpoint.restore_latest(directory) if rank == 0 else (None, [])
    for sentence in damaged:
        journal.log_error(out, sentence)
    (step,) = map(int, backend.from_first((-1 if saved is None else saved["global_step"],)))
    if step < 0:
        return None
    saved = checkpoint.load(directory, step) if rank > 0 else saved
    if (wrote := saved.get("processes")) != processes:
        raise CheckpointError(f"the checkpoint in {out} is of {wrote} processes and the trial has {processes}.")
    if rank > 0:
        saved["own"] = shares.together(checkpoint.load(directory, step, rank)["own"], saved["own"])
    return saved


def own(backend: Backend, tree: Any) -> tuple[dict[str, Any] | None, BaseException | None]:
    """This process's state as plain data; or what was raised on the way, by a submission's own `state_dict` for one."""
    try:
        return {"random_state": backend.export_random_state(), "state": backend.export(tree)}, None
    except InfrastructureError:
        raise
    except (Exception, SystemExit) as error:
        return None, error


def are_all_there(backend: Backend, is_there: bool) -> bool:
    """Whether all processes say so. Involves all processes."""
    return bool(backend.gather(np.array([[is_there]], np.float64)).all())


def write_shares(out: Path, backend: Backend, step: int, state: dict[str, Any], kept: Journal | None) -> None:
    """Writes what the processes but the first have of their own, before the first writes the rest. Involves all.

    state: this process's, as `own` gives it. kept: the journal, which the first process has. Raises InfrastructureError
    where that has lost the trial's lock.
    """
    rank, processes = backend.shard
    if processes == 1:
        return
    if kept is not None:
        kept.verify()
    digests = shares.digests(state)
    (count,) = map(int, backend.from_first((len(digests),)))  # none writes unless the first has the lock
    firsts = backend.gather(digests)[:count]
    if rank > 0:
        share = {"own": shares.without(state, firsts)}
        checkpoint.save(out / journal.CHECKPOINTS, step, share, rank)
    are_all_there(backend, True)  # the first goes on when all have written
