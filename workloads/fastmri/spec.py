"""fastMRI: a U-Net reconstructs knee images from undersampled single-coil k-space (SSIM)."""

from algoperf.spec import Budget, LossType, Needs, Target, WorkloadSpec

WORKLOAD = WorkloadSpec(
    name="fastmri",
    dataset="fastmri",
    loss=LossType.MEAN_ABSOLUTE_ERROR,
    metrics=("ssim", "loss"),
    target=Target(metric="ssim", validation=0.723653, test=0.740633, goal="max"),
    budget={
        "v0.5": Budget(max_runtime=8_859, step_hint=36_189),
        "v0.6": Budget(max_runtime=4_430, step_hint=18_094),
    },
    eval_period=80,
    eval_batch_size=256,
    num_train_examples=34_742,
    num_eval_train_examples=3_584,
    num_validation_examples=3_554,
    num_test_examples=3_581,
    output_layer="head",
    needs=Needs(evaluation_time=4, memory_gib=32, cpus=32),
    model=dict(num_channels=32, num_pool_layers=4, activation="leaky_relu", norm="instance"),
)

VARIANTS = {
    "tanh": dict(model=dict(activation="tanh"), target=dict(validation=0.717840, test=0.734505)),
    "layernorm": dict(model=dict(norm="layer"), target=dict(validation=0.723284, test=0.739996)),
    "model_size": dict(model=dict(num_channels=64, num_pool_layers=3), target=dict(validation=0.723559, test=0.740726)),
}
