"""ImageNet with ResNet-50 v1.5 (accuracy); the test split is ImageNet-v2, matched frequency."""

from algoperf.benchmark.facts import Budget, LossType, Needs, Target, WorkloadSpec

WORKLOAD = WorkloadSpec(
    name="imagenet_resnet",
    dataset="imagenet",
    loss=LossType.SOFTMAX_CROSS_ENTROPY,
    metrics=("accuracy", "loss"),
    target=Target(metric="accuracy", validation=0.77431, test=0.656, goal="max"),
    budget={
        "v0.5": Budget(max_runtime=63_008, step_hint=186_666),
        "v0.6": Budget(max_runtime=66_159, step_hint=195_999),
        "v0.6-a100": Budget(max_runtime=49_918, step_hint=195_999, eval_period=1_996),
    },
    eval_period=510,
    eval_batch_size=1_024,
    num_train_examples=1_281_167,
    num_eval_train_examples=50_176,
    num_validation_examples=50_000,
    num_test_examples=10_000,
    output_layer="fc",
    needs=Needs(evaluation_time=18, memory_gib=48, cpus=32),
    torch_compile="ampere",  # as the reference has it, where Triton can
    model=dict(stage_sizes=(3, 4, 6, 3), width=64, activation="relu", bn_init_scale=0.0, num_classes=1_000),
    data=dict(image_size=224, rand_augment=0, mixup_alpha=0.0),
)

VARIANTS = {
    "silu": dict(model=dict(activation="silu"), target=dict(validation=0.75445, test=0.6323)),
    "gelu": dict(model=dict(activation="gelu"), target=dict(validation=0.76765, test=0.6519)),
    "large_bn_init": dict(model=dict(bn_init_scale=8.0), target=dict(validation=0.76526, test=0.6423)),
}

# Fashion-MNIST, written as a folder of JPEG files per class: the same preparation, pipeline and model, made small.
# The target is made by the benchmark's rule (mini_target.json).
MINI = dict(
    dataset="fashion_mnist",
    target=dict(validation=0.698, test=0.703),
    budget={"mini": Budget(max_runtime=3_600, step_hint=400)},
    eval_period=75,
    needs=Needs(evaluation_time=0.5, memory_gib=4, cpus=2),
    batch_divisor=16,
    eval_batch_size=256,
    num_train_examples=20_000,
    num_eval_train_examples=256,
    num_validation_examples=512,
    num_test_examples=256,
    model=dict(stage_sizes=(1, 1, 1, 1), width=16, num_classes=10),
    data=dict(image_size=32, rand_augment=0, mixup_alpha=0.0),
)
