"""fastMRI: a U-Net reconstructs knee images from undersampled single-coil k-space (SSIM)."""

from algoperf.benchmark.facts import Budget, LossType, Needs, Target, WorkloadSpec


def _reference_names(num_pool_layers: int) -> dict[str, str]:
    """Our name of each module -> the reference's; its last up-convolution and the head are one sequence."""
    blocks = {"bottom": "conv"} | {f"down.{i}": f"down_sample_layers.{i}" for i in range(num_pool_layers)}
    blocks |= {f"up.{i}.block": f"up_conv.{i}" for i in range(num_pool_layers - 1)}
    last = num_pool_layers - 1
    blocks[f"up.{last}.block"] = f"up_conv.{last}.0"
    layers = {"conv1": 0, "norm1": 1, "conv2": 4, "norm2": 5}
    names = {
        f"{ours}.{layer}": f"{theirs}.conv_layers.{i}" for ours, theirs in blocks.items() for layer, i in layers.items()
    }
    names |= {f"up.{i}.conv": f"up_transpose_conv.{i}.layers.0" for i in range(num_pool_layers)}
    return names | {"head": f"up_conv.{last}.1"}


WORKLOAD = WorkloadSpec(
    name="fastmri",
    dataset="fastmri",
    loss=LossType.MEAN_ABSOLUTE_ERROR,
    metrics=("ssim", "loss"),
    target=Target(metric="ssim", validation=0.723653, test=0.740633, goal="max"),
    budget={
        "v0.5": Budget(max_runtime=8_859, step_hint=36_189),
        "v0.6": Budget(max_runtime=4_430, step_hint=18_094),
        "v0.6-a100": Budget(max_runtime=2_745, step_hint=18_094, eval_period=110),
    },
    eval_period=80,
    eval_batch_size=256,
    num_train_examples=34_742,
    num_eval_train_examples=3_584,
    num_validation_examples=3_554,
    num_test_examples=3_581,
    output_layer="head",
    needs=Needs(evaluation_time=4, memory_gib=32, cpus=32),
    torch_compile="ampere",  # as the reference has it, where Triton can
    model=dict(num_channels=32, num_pool_layers=4, activation="leaky_relu", norm="instance"),
    data=dict(image_size=320, center_fraction=0.08, acceleration=4),
    reference_names=_reference_names(num_pool_layers=4),
)

VARIANTS = {
    "tanh": dict(model=dict(activation="tanh"), target=dict(validation=0.717840, test=0.734505)),
    "layernorm": dict(model=dict(norm="layer"), target=dict(validation=0.723284, test=0.739996)),
    "model_size": dict(
        model=dict(num_channels=64, num_pool_layers=3),
        target=dict(validation=0.723559, test=0.740726),
        reference_names=_reference_names(num_pool_layers=3),
    ),
}

# Heads written as fastMRI's volumes: the images are real, but no knees, and k-space was computed from them.
# The target is made by the benchmark's rule (mini_target.json); the undersampled image itself has 0.637.
MINI = dict(
    dataset="heads",
    target=dict(validation=0.708, test=0.682),
    budget={"mini": Budget(max_runtime=3_600, step_hint=200)},
    eval_period=75,
    needs=Needs(evaluation_time=0.5, memory_gib=4, cpus=2),
    batch_divisor=8,
    eval_batch_size=16,
    num_train_examples=720,
    num_eval_train_examples=16,
    num_validation_examples=48,
    num_test_examples=32,
    model=dict(num_channels=8),
    data=dict(image_size=80, center_fraction=0.08, acceleration=4),
)
