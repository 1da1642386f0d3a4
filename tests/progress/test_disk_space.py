"""What an experiment writes to the disk, beside what real checkpoints and results take."""

import numpy as np
import pytest

from algoperf.experiment import config, plan
from algoperf.progress import costs, disk_space
from algoperf.records import checkpoint


def make(**changed):
    content = {"protocol": "mini", "submissions": [{"name": "nadamw", "framework": "jax"}], **changed}
    return plan.trials(config.parse(content))


def test_a_checkpoint_takes_what_was_estimated(tmp_path):
    (estimated,) = disk_space.of_trials(make(workloads=["criteo1tb"]))
    number = costs.parameters("criteo1tb", "mini")
    state = {name: np.ones(number, np.float32) for name in ("params", "first_moment", "second_moment")}
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, state)
    on_disk = sum(path.stat().st_size for path in tmp_path.iterdir())
    # Two are kept; a third is there while it is written.
    assert estimated.checkpoints == pytest.approx(on_disk * 3 / 2, rel=0.01)


def test_results_grow_with_the_trials_and_data_do_not(tmp_path):
    one, three = make(workloads=["wmt"]), make(workloads=["wmt"]) * 3
    assert disk_space.of_trials(three)[0].results == pytest.approx(3 * disk_space.of_trials(one)[0].results, abs=2)
    disks = disk_space.of_trials(make(workloads=["imagenet_resnet", "imagenet_vit", "ogbg"]))
    stores = disk_space.stores(disks, tmp_path)
    assert [(store.dataset, store.is_prepared) for store in stores] == [
        ("fashion_mnist", False),
        ("moleculeace", False),
    ]


def test_as_many_checkpoints_lie_there_as_trials_run_at_once():
    trials = make(workloads=["criteo1tb", "ogbg"])
    disks = disk_space.of_trials(trials)
    sizes = {estimated.kind.workload: estimated.checkpoints for estimated in disks}
    assert disk_space.checkpoints(disks, 1, trials) == sizes["criteo1tb"]  # the larger one
    assert disk_space.checkpoints(disks, 2, trials) == disk_space.checkpoints(disks, 9, trials) == sum(sizes.values())
