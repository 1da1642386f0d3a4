"""What is said of a live cluster, a real one where its state can be made."""

import pytest

from algoperf.doctor import survey
from algoperf.experiment.config import Config
from algoperf.machine.cluster import Accelerator, Cluster
from algoperf.machine.slurm import Node, Partition

SETTINGS = {"MinJobAge": "600 sec", "JobRequeue": "1", "ProctrackType": "proctrack/cgroup"}


def experiment(accelerator: str, protocol: str = "mini") -> Config:
    submissions = [{"name": "nadamw", "framework": "jax"}]
    return Config(protocol=protocol, submissions=submissions, workloads=["imagenet_resnet"], accelerator=accelerator)


def findings(accelerator: Accelerator, protocol: str = "mini") -> dict[str, tuple[str, str]]:
    """Name -> (mark, advice); what is said last of a name stands for it."""
    site = Cluster(accelerators={"wanted": accelerator})
    return {check.name: (check.mark, check.advice) for check in survey.checks(experiment("wanted", protocol), site)}


def node(name: str, gpus: dict[str, int], *features: str) -> Node:
    return Node(name, "idle", gpus, features, 64, 500_000)


def test_a_sound_cluster_needs_no_mending(on_cluster):
    found = findings(Accelerator(device="V100", count=8, partition="v100", gres="gpu:v100:8"))
    assert not [name for name, (mark, _) in found.items() if mark == "mend"]
    assert found["accelerator wanted"] == ("ok", "v100-1, v100-2 of partition v100, each with gpu:v100:8")
    assert found["preemption"][0] == found["submission"][0] == "ok"
    assert found["accounting"][0] == "note"


@pytest.mark.landing("a cluster with accounting that answers")
def test_accounting_that_answers_is_told(slurm_cluster_with_accounting, monkeypatch):
    for name, value in slurm_cluster_with_accounting.variables.items():
        monkeypatch.setenv(name, value)
    assert findings(Accelerator(partition="cpu"))["accounting"] == ("ok", "sacct answers")


@pytest.mark.parametrize(
    ("accelerator", "advice"),
    [
        (Accelerator(partition="v1000"), ["no partition v1000", "a100, cpu, h200, hidden, mixed, v100, v100_hi"]),
        (Accelerator(partition="v100", gres="gpu:a100:8"), ["no node of partition v100 has gpu:a100:8", "gpu:v100:8"]),
        (Accelerator(partition="v100", gres="gpu:v100:9"), ["no node of partition v100 has gpu:v100:9"]),
        (Accelerator(partition="v100", constraint="a100"), ["no node of partition v100 has a100"]),
        (Accelerator(partition="mixed", gres="gpu:8"), ["a100-1 have gpu:a100:8", "constraint: v100"]),
        (Accelerator(partition="v100", gres="gpu:v100:4", count=8), ["must find 8 devices", "asks for 4"]),
        (Accelerator(partition="a100", nodes=2), ["1 of its nodes take jobs now", "needs 2"]),
    ],
)
def test_an_accelerator_that_the_cluster_does_not_have_is_explained(on_cluster, accelerator, advice):
    mark, text = findings(accelerator)["accelerator wanted"]
    assert mark == "mend"
    for words in advice:
        assert words in text


def test_a_type_or_a_constraint_chooses_among_mixed_nodes(on_cluster):
    for choice in (
        Accelerator(partition="mixed", gres="gpu:a100:8"),
        Accelerator(partition="mixed", constraint="a100"),
    ):
        assert findings(choice)["accelerator wanted"] == ("ok", "a100-1 of partition mixed, each with gpu:a100:8")


def test_an_accelerator_without_a_partition_is_the_default_one(on_cluster):
    assert "partition v100" in findings(Accelerator())["accelerator wanted"][1]


def test_an_accelerator_that_the_description_does_not_name_is_to_be_mended(on_cluster):
    found = {check.name: check for check in survey.checks(experiment("tpu"), Cluster())}
    assert found["accelerator tpu"].mark == "mend"
    assert "--propose" in found["accelerator tpu"].advice


def test_a_limit_below_the_budget_is_crossed_in_pieces_that_the_description_must_name(on_cluster):
    mark, advice = findings(Accelerator(partition="mixed", constraint="v100"), "v0.6")["time limit"]
    assert mark == "mend"
    assert "add time_limit: 240" in advice
    mark, advice = findings(Accelerator(partition="mixed", constraint="v100", time_limit=240), "v0.6")["time limit"]
    assert (mark, "in 5 pieces" in advice or "in 6 pieces" in advice) == ("ok", True)


def test_a_job_that_is_larger_than_a_node_is_told_what_to_ask_for(on_cluster):
    found = findings(Accelerator(partition="v100", cpus=65, memory_gib=63))
    assert found["processors"][0] == found["memory"][0] == "mend"
    assert "add cpus: 64" in found["processors"][1]
    assert "add memory_gib: 62" in found["memory"][1]


def test_nodes_that_the_site_excludes_are_none_of_the_accelerators(on_cluster):
    for nodes, words in (("v100-[1,3]", "v100-2 of partition v100"), ("v100-[1-2]", "no node of partition v100")):
        assert words in findings(Accelerator(partition="v100", exclude=nodes))["accelerator wanted"][1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"exclude": "nowhere"}, "Invalid node name"),
        ({"options": ("--licenses=unknown:1",)}, "Invalid license"),
        ({"options": ("--no-such-option",)}, "--no-such-option"),
    ],
)
def test_what_sbatch_would_refuse_is_to_be_mended(on_cluster, changes, words):
    mark, advice = findings(Accelerator(partition="v100", **changes))["submission"]
    assert (mark, words in advice) == ("mend", True), advice


def test_a_drained_node_is_noted(on_cluster):
    on_cluster.run("scontrol", "update", "nodename=v100-2", "state=drain", "reason=test")
    try:
        assert findings(Accelerator(partition="v100"))["accelerator wanted"] == (
            "note",
            "1 of its 2 nodes take no jobs now",
        )
    finally:
        on_cluster.run("scontrol", "update", "nodename=v100-2", "state=resume")


def test_a_partition_that_is_down_is_to_be_mended(on_cluster):
    on_cluster.run("scontrol", "update", "partitionname=h200", "state=down")
    try:
        site = Cluster(accelerators={"wanted": Accelerator(partition="h200")})
        marks = [(check.mark, check.advice) for check in survey.checks(experiment("wanted"), site)]
        assert ("mend", "partition h200 is down: ask the site, or name another") in marks
    finally:
        on_cluster.run("scontrol", "update", "partitionname=h200", "state=up")


def test_a_controller_that_is_down_is_one_clear_line(without_controller):
    (line,) = survey.checks(experiment("v100"), Cluster())
    assert line.mark == "mend"
    assert "nable to contact" in line.advice
    (line,) = survey.checks(experiment("local"), Cluster())
    assert line.mark == "note"
    assert "run on this machine" in line.advice


def test_without_slurm_trials_run_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (line,) = survey.checks(experiment("local"), Cluster())
    assert (line.mark, line.advice) == ("note", "no sbatch: trials run on this machine")


@pytest.mark.parametrize(
    ("changed", "name", "mark", "words"),
    [
        ({"MinJobAge": "30 sec"}, "job states", "mend", "sacct"),
        ({"JobRequeue": "0"}, "requeue", "note", "--requeue"),
        ({"ProctrackType": "proctrack/linuxproc"}, "processes", "note", "linuxproc"),
    ],
)
def test_settings_that_endanger_trials_are_named(tmp_path, monkeypatch, changed, name, mark, words):
    monkeypatch.setenv("PATH", str(tmp_path))  # no sacct: accounting does not answer
    found = {check.name: check for check in survey.settings({**SETTINGS, **changed})}
    assert found[name].mark == mark
    assert words in found[name].advice
    assert {check.name: check.mark for check in survey.settings(SETTINGS)}[name] == "ok"


@pytest.mark.parametrize(
    ("mode", "mark", "words"),
    [
        ("CANCEL", "note", "for ever"),
        ("GANG,SUSPEND", "note", "stands still"),
        ("REQUEUE", "ok", ""),
        ("OFF", "ok", ""),
    ],
)
def test_what_preemption_does_to_a_trial_is_said(mode, mark, words):
    found = survey.preemption(Partition("p", False, True, None, mode, ()))
    assert found.mark == mark
    assert words in found.advice


def test_nodes_that_no_feature_separates_say_so():
    a, b = node("a", {"": 8}, "fast"), node("b", {}, "fast")
    assert survey.separating_feature([a], [b]) is None
    assert survey.separating_feature([node("c", {}, "fast", "big")], [a, b]) == "big"


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [(None, True), ("v100", True), ("v100&ib", True), ("v100 & big", False), ("a100", False), ("a100|v100", True)],
)
def test_names_in_a_constraint_are_understood_and_other_expressions_taken_to_hold(constraint, expected):
    assert survey.fits(node("n", {"v100": 8}, "v100", "ib"), Accelerator(constraint=constraint)) is expected


def test_many_nodes_are_summed_up():
    assert survey.describe([node(f"n{i}", {}) for i in range(7)]) == "n0, n1, n2, n3 and 3 more"
