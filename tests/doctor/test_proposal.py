"""A proposed cluster.yaml says what the live cluster is, and can be used as it is."""

import pytest
import yaml

from algoperf.benchmark.facts import InfrastructureError
from algoperf.doctor import proposal
from algoperf.machine import cluster, slurm
from algoperf.machine.cluster import Accelerator
from algoperf.machine.slurm import Node, Partition
from algoperf.records.strict import check_content


def accelerators(text: str) -> dict[str, Accelerator]:
    return check_content(cluster.Cluster, yaml.safe_load(text), "the proposal").accelerators


def test_each_partition_and_kind_of_gpu_is_an_accelerator(on_cluster, algoperf):
    code, text, error = algoperf("doctor", "--propose")
    assert code == 0, error
    found = accelerators(text)
    v100 = Accelerator(device="v100", count=8, gres="gpu:v100:8", partition="v100")
    assert found == {
        "local": Accelerator(),
        "a100": Accelerator(device="a100", count=8, gres="gpu:a100:8", partition="a100"),
        "cpu": Accelerator(partition="cpu"),
        "hidden": Accelerator(partition="hidden"),
        "h200": Accelerator(device="h200", count=8, gres="gpu:h200:8", partition="h200"),
        "mixed_a100x8": Accelerator(
            device="a100", count=8, gres="gpu:a100:8", partition="mixed", constraint="a100", time_limit=240
        ),
        "mixed_v100x8": v100.model_copy(update={"partition": "mixed", "constraint": "v100", "time_limit": 240}),
        "v100": v100,
        "v100_hi": v100.model_copy(update={"partition": "v100_hi"}),
    }
    assert "# Partition v100: v100-1, v100-2; 64 CPUs, 62 GiB." in text


def test_what_slurm_does_not_tell_is_left_to_the_site(monkeypatch):
    nodes = (
        Node("a", "idle", {"": 4}, (), 32, 128_000),
        Node("b", "idle", {}, (), 32, 128_000),
        Node("c", "idle", {"a100": 2, "a100_3g.20gb": 4}, (), 32, 128_000),
    )
    monkeypatch.setattr(slurm, "partitions", lambda: [Partition("on", True, False, None, "OFF", nodes)])
    text = proposal.propose()
    assert "which is down now" in text
    assert "add `device`" in text
    assert "No feature of these nodes separates them from" in text
    assert "of several types" in text
    found = accelerators(text)
    assert found["on_gpux4"] == Accelerator(count=4, gres="gpu:4", partition="on")
    assert found["on_cpu"] == Accelerator(partition="on")
    assert found["on_a100x2_a100_3g.20gbx4"].gres == "gpu:a100:2"


def test_nothing_is_proposed_where_slurm_does_not_answer(without_controller):
    with pytest.raises(InfrastructureError, match="nable to contact"):
        proposal.propose()
