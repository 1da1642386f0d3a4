"""What is known of accelerators, and by which names."""

import pytest
import yaml

from algoperf.benchmark.facts import UsageError
from algoperf.fit import accelerators
from algoperf.machine import cluster

GIB = 2**30


def described(tmp_path, monkeypatch, entries):
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump({"accelerators": entries}))
    monkeypatch.setenv(cluster.FILE_VARIABLE, str(path))


@pytest.mark.parametrize(
    ("name", "of_pytorch", "of_jax", "count"),
    [("v100", 15.0, 14.51, 8), ("a100", 38.0, 36.27, 4), ("h100", 77.2, 72.78, 8)],
)
def test_what_a_step_can_have(name, of_pytorch, of_jax, count):
    called, facts = accelerators.find(name)
    assert (called, facts.count) == (name, count)
    assert facts.room("pytorch") / GIB == pytest.approx(of_pytorch, abs=0.05)
    assert facts.room("jax") / GIB == pytest.approx(of_jax, abs=0.05)


def test_openxla_s_description_agrees_with_the_facts():
    for facts in accelerators.known().values():
        assert f"device_memory_size: {facts.memory}" in facts.target
        assert f"memory_bandwidth: {facts.bandwidth}" in facts.target
        assert f"major: {facts.capability.partition('.')[0]} " in facts.target


def test_products_are_at_the_speed_of_their_type():
    a100 = accelerators.known()["a100"]
    assert a100.products_a_second("float32") == 156e12
    assert a100.products_a_second("bfloat16") == 312e12
    assert accelerators.known()["v100"].products_a_second("float32") == 15.7e12


def test_a_cluster_s_own_name_for_a_known_one(tmp_path, monkeypatch):
    described(tmp_path, monkeypatch, {"big": {"facts": "a100", "count": 4, "nodes": 2}})
    called, facts = accelerators.find("big")
    assert (called, facts.count) == ("a100", 8)


def test_a_cluster_s_own_file(tmp_path, monkeypatch):
    facts = accelerators.known()["a100"].model_dump() | {"memory": 85_000_000_000}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"big": facts}))
    described(tmp_path, monkeypatch, {"big": {"facts": str(tmp_path / "own.yaml")}})
    assert accelerators.find("big")[1].memory == 85_000_000_000


def test_a_name_that_nobody_knows():
    with pytest.raises(accelerators.UnknownAcceleratorError, match="'tpu'; known are v100, a100, h100"):
        accelerators.find("tpu")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"big": {"memory": 1}}, "big is wrong at 'count'"),
        ([1], "no table of tables"),
        ({"big": {"x": 1}}, "'count'|'x'"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path, content, message):
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(UsageError, match=message):
        accelerators.known(path)
