"""ImageNet with ViT-S/16 (accuracy), RandAugment and mixup in training."""

from algoperf.spec import Budget, LossType, Needs, Target, WorkloadSpec

WORKLOAD = WorkloadSpec(
    name="imagenet_vit",
    dataset="imagenet",
    loss=LossType.SOFTMAX_CROSS_ENTROPY,
    metrics=("accuracy", "loss"),
    target=Target(metric="accuracy", validation=0.77309, test=0.6519, goal="max"),
    budget={
        "v0.5": Budget(max_runtime=77_520, step_hint=186_666),
        "v0.6": Budget(max_runtime=69_768, step_hint=167_999),
    },
    eval_period=420,
    eval_batch_size=2_048,
    num_train_examples=1_281_167,
    num_eval_train_examples=51_200,
    num_validation_examples=50_000,
    num_test_examples=10_000,
    output_layer="head",
    needs=Needs(evaluation_time=40, memory_gib=48, cpus=32),
    model=dict(width=384, depth=12, mlp_dim=1_536, num_heads=6, glu=False, norm="pre", pool="gap", num_classes=1_000),
)

VARIANTS = {
    "glu": dict(model=dict(glu=True), target=dict(validation=0.75738, test=0.6359)),
    "post_ln": dict(model=dict(norm="post"), target=dict(validation=0.75312, test=0.6286)),
    "map": dict(model=dict(pool="map"), target=dict(validation=0.77113, test=0.6523)),
}
