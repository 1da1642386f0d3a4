"""ogbg-molpcba: a graph network predicts 128 properties of molecules (mean average precision)."""

import itertools

from algoperf.benchmark.facts import Budget, LossType, Needs, Target, WorkloadSpec

_NUM_STEPS, _NUM_HIDDEN = 5, 2  # the most that a variant has


def _reference_names() -> dict[str, str]:
    """Our name of each module -> the reference's."""
    names = {"node_encoder": "node_embedder", "edge_encoder": "edge_embedder"}
    for step, (ours, theirs), number in itertools.product(
        range(_NUM_STEPS), {"edge": "edge", "node": "node", "graph": "global"}.items(), range(_NUM_HIDDEN)
    ):
        mlp = f"graph_network.{step}.update_{theirs}_fn"
        names[f"steps.{step}.{ours}.linears.{number}"] = f"{mlp}.dense_{number}"
        names[f"steps.{step}.{ours}.norms.{number}"] = f"{mlp}.norm_{number}"
    return names


WORKLOAD = WorkloadSpec(
    name="ogbg",
    dataset="ogbg",
    # As the official API has it; the loss itself is a masked sigmoid cross entropy.
    loss=LossType.SOFTMAX_CROSS_ENTROPY,
    metrics=("accuracy", "loss", "mean_average_precision"),
    target=Target(metric="mean_average_precision", validation=0.28098, test=0.268729, goal="max"),
    budget={
        "v0.5": Budget(max_runtime=18_477, step_hint=80_000),
        "v0.6": Budget(max_runtime=12_011, step_hint=52_000),
        "v0.6-a100": Budget(max_runtime=11_303, step_hint=52_000, eval_period=452),
    },
    eval_period=240,
    eval_batch_size=32_768,
    num_train_examples=350_343,
    num_eval_train_examples=43_793,
    num_validation_examples=43_793,
    num_test_examples=43_793,
    output_layer="decoder",
    needs=Needs(evaluation_time=114, memory_gib=32, cpus=32),
    model=dict(
        latent_dim=256, hidden_dims=(256,), num_message_passing_steps=_NUM_STEPS, activation="relu", num_tasks=128
    ),
    data=dict(num_tasks=128),
    dropout_rate=0.1,
    loss_function="multitask_sigmoid_cross_entropy",
    reference_names=_reference_names(),
)

VARIANTS = {
    "gelu": dict(model=dict(activation="gelu"), target=dict(validation=0.27771, test=0.262926)),
    "silu": dict(model=dict(activation="silu"), target=dict(validation=0.282178, test=0.272144)),
    "model_size": dict(
        model=dict(latent_dim=128, hidden_dims=(256, 256), num_message_passing_steps=3),
        target=dict(validation=0.269446, test=0.253051),
    ),
}

# MoleculeACE, written as the archive of ogbg-molpcba: the same preparation, pipeline and model, made small.
# The target is made by the benchmark's rule (mini_target.json).
MINI = dict(
    dataset="moleculeace",
    target=dict(validation=0.271, test=0.313),
    budget={"mini": Budget(max_runtime=3_600, step_hint=1_000)},
    eval_period=75,
    needs=Needs(evaluation_time=0.5, memory_gib=4, cpus=2),
    batch_divisor=32,
    eval_batch_size=256,
    num_train_examples=5_719,
    num_eval_train_examples=256,
    num_validation_examples=768,
    num_test_examples=512,
    model=dict(latent_dim=64, hidden_dims=(64,), num_message_passing_steps=2, num_tasks=30),
    data=dict(num_tasks=30),
)
