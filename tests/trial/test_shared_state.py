"""Each process of a trial gets its own state back, or the trial says that it cannot go on."""

from pathlib import Path

import numpy as np
import pytest

from algoperf.backends import plain
from algoperf.machine.interruption import InterruptionError
from algoperf.records import checkpoint
from algoperf.records.checkpoint import CheckpointError
from algoperf.trial import shared_state
from tests.conftest import REPOSITORY
from tests.support.little_trials import little_data, made
from tests.support.little_trials import run as run_trial
from tests.support.nightly import pytorch_first
from tests.support.own_submissions import write
from tests.support.several_processes import run

# Each process has a share of its own, drawn from its own generator, and the second has more than the first.
SHARES = {
    "pytorch": (
        "import numpy as np, torch\nfrom torch import distributed\nRANK = distributed.get_rank()",
        "return {'share': torch.full((4,), 100.0 * RANK), 'more': [0.0] * RANK}",
        "state['share'] += 1; found = [state['share'][0].item()]",
    ),
    "jax": (
        "import numpy as np, jax, jax.numpy as jnp\nfrom algoperf import jax_sharding_utils as sharding\n"
        "RANK = jax.process_index()",
        "divided = sharding.shard_along_batch_dim(np.full(4, 100.0 * RANK, np.float32))\n"
        "return {'share': np.full(4, 100.0 * RANK), 'more': [0.0] * RANK, 'divided': divided}",
        "state['share'] = state['share'] + 1; state['divided'] = state['divided'] + 1\n"
        "found = [state['share'][0], float(np.asarray(state['divided'].addressable_data(0))[0])]",
    ),
}
STEP = """
if RANK == 1: state['more'].append(1.0)
if global_step == 2: state['late'] = RANK
found += [sum(state['more']), state.get('late', -1), np.random.rand()]
np.save(f'FOLDER/rank_{RANK}_step_{global_step}.npy', found)
"""


def stop_and_go_on(framework, folder, little):
    """A trial that is stopped after its third step, and goes on in the same processes."""
    data, folder = (REPOSITORY / "data", Path(little)), Path(folder)
    with pytest.raises(InterruptionError, match="saved at step 3"):
        run_trial(made(folder / "submission", folder / "out", data, framework, max_steps=4), stops_after=3)
    setup = made(folder / "submission", folder / "out", data, framework, max_steps=4)
    assert run_trial(setup)["preemptions"] == 1
    return {"seed": plain.seed_of_process(setup.seed, setup.backend.shard[0])}


@pytest.mark.parametrize("framework", pytorch_first("state of several processes in JAX"))
def test_each_process_goes_on_with_what_was_its_own(framework, data_dir, tmp_path):
    little = little_data(data_dir, tmp_path / "little")
    imported, init, step = SHARES[framework]
    write(tmp_path / "submission", step + STEP.replace("FOLDER", str(tmp_path)), init, imported)
    processes = run(stop_and_go_on, [framework, str(tmp_path), str(little)], 2, tmp_path)
    for rank, here in enumerate(processes):
        rng = np.random.RandomState(here["seed"])
        for step in range(4):
            *shares, more, late, drawn = np.load(tmp_path / f"rank_{rank}_step_{step}.npy")
            assert set(shares) == {100 * rank + step + 1}
            assert (more, late) == (rank * (step + 1), rank if step >= 2 else -1)
            assert drawn == rng.rand()


class Backend:
    """One of several processes, of which the first has said which step is the newest."""

    def __init__(self, rank, processes, step):
        self.shard, self._step = (rank, processes), step

    def from_first(self, values):
        return (self._step,)


@pytest.fixture
def two(tmp_path):
    """The checkpoints of two processes at two steps."""
    for step in (1, 2):
        own = {"state": np.full(2, step)}
        checkpoint.save(tmp_path / "checkpoints", step, {"own": {"state": np.full(2, -step)}}, rank=1)
        checkpoint.save(
            tmp_path / "checkpoints", step, {"global_step": step, "processes": 2, "own": own, "evaluations": []}
        )
    return tmp_path


def test_every_process_reads_its_own(two):
    for rank, sign in ((0, 1), (1, -1)):
        saved = shared_state.read(two, Backend(rank, 2, step=2))
        assert saved["global_step"] == 2
        assert saved["own"]["state"].tolist() == [2 * sign, 2 * sign]


def test_a_checkpoint_of_which_a_share_is_damaged_is_passed_over_by_all(two):
    share = two / "checkpoints" / "checkpoint_000000000002_rank_1.npz"
    share.write_bytes(share.read_bytes()[:-50])
    assert shared_state.read(two, Backend(0, 2, step=1))["global_step"] == 1
    assert "checkpoint_000000000002" in (two / "error.log").read_text()


def test_another_number_of_processes_is_a_sentence(two):
    with pytest.raises(CheckpointError, match=r"is of 2 processes and the trial has 1\.$"):
        shared_state.read(two, Backend(0, 1, step=2))


def test_shares_go_with_their_checkpoint(two):
    checkpoint.save(two / "checkpoints", 3, {"processes": 1})
    assert not (two / "checkpoints" / "checkpoint_000000000001_rank_1.npz").exists()
    assert (two / "checkpoints" / "checkpoint_000000000002_rank_1.npz").exists()
    checkpoint.remove(two / "checkpoints")
    assert list((two / "checkpoints").iterdir()) == []
