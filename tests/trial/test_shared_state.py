"""Each process of a trial gets its own state back, or the trial says that it cannot go on."""

from pathlib import Path

import numpy as np
import pytest

from algoperf.benchmark.facts import FRAMEWORKS
from algoperf.machine.interruption import InterruptionError
from algoperf.records import checkpoint
from algoperf.records.checkpoint import CheckpointError
from algoperf.trial import shared_state
from tests.conftest import REPOSITORY
from tests.support.little_trials import little_data, made, write
from tests.support.little_trials import run as run_trial
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
if global_step == 3: state['late'] = RANK
found += [sum(state['more']), state.get('late', -1), np.random.rand()]
np.save(f'FOLDER/rank_{RANK}_step_{global_step}.npy', found)
"""


def whole_and_stopped(framework, folder, little):
    """A trial as it is, and one that is stopped after its third step and goes on, in the same processes."""
    data = REPOSITORY / "data", Path(little)
    for name, stops_after in (("whole", None), ("stopped", 3)):
        path = Path(folder) / name / "submission"
        if stops_after is None:
            run_trial(made(path, Path(folder) / name / "out", data, framework, max_steps=5))
            continue
        with pytest.raises(InterruptionError, match="saved at step 3"):
            run_trial(made(path, Path(folder) / name / "out", data, framework, max_steps=5), stops_after)
        run_trial(made(path, Path(folder) / name / "out", data, framework, max_steps=5))
    return {}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_each_process_goes_on_with_what_was_its_own(framework, data_dir, tmp_path):
    little = little_data(data_dir, tmp_path / "little")
    imported, init, step = SHARES[framework]
    for name in ("whole", "stopped"):
        write(tmp_path / name / "submission", step + STEP.replace("FOLDER", str(tmp_path / name)), init, imported)
    run(whole_and_stopped, [framework, str(tmp_path), str(little)], 2, tmp_path)
    for rank in range(2):
        for step in range(5):
            file = f"rank_{rank}_step_{step}.npy"
            found, expected = np.load(tmp_path / "stopped" / file), np.load(tmp_path / "whole" / file)
            np.testing.assert_array_equal(found, expected, err_msg=file)
            assert found[0] == 100 * rank + step + 1
    assert np.load(tmp_path / "whole" / "rank_1_step_4.npy")[-3] == 5


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
