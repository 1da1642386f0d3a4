"""ogbg-molpcba: a graph network predicts 128 properties of molecules (mean average precision)."""

from algoperf.spec import Budget, LossType, Needs, Target, WorkloadSpec

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
    },
    eval_period=240,
    eval_batch_size=32_768,
    num_train_examples=350_343,
    num_eval_train_examples=43_793,
    num_validation_examples=43_793,
    num_test_examples=43_793,
    output_layer="decoder",
    needs=Needs(evaluation_time=114, memory_gib=32, cpus=32),
    model=dict(latent_dim=256, hidden_dims=(256,), num_message_passing_steps=5, activation="relu"),
)

VARIANTS = {
    "gelu": dict(model=dict(activation="gelu"), target=dict(validation=0.27771, test=0.262926)),
    "silu": dict(model=dict(activation="silu"), target=dict(validation=0.282178, test=0.272144)),
    "model_size": dict(
        model=dict(latent_dim=128, hidden_dims=(256, 256), num_message_passing_steps=3),
        target=dict(validation=0.269446, test=0.253051),
    ),
}
