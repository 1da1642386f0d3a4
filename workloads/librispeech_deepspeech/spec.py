"""LibriSpeech with DeepSpeech 2 and CTC (word error rate as the reference counts it)."""

from algoperf.spec import Budget, LossType, Needs, Target, WorkloadSpec

WORKLOAD = WorkloadSpec(
    name="librispeech_deepspeech",
    dataset="librispeech",
    loss=LossType.CTC_LOSS,
    metrics=("wer", "ctc_loss"),
    target=Target(metric="wer", validation=0.119936, test=0.074143, goal="min"),
    budget={
        "v0.5": Budget(max_runtime=55_506, step_hint=48_000),
        "v0.6": Budget(max_runtime=44_405, step_hint=38_400),
    },
    eval_period=1_440,
    eval_batch_size=256,
    num_train_examples=263_840,
    num_eval_train_examples=5_376,
    num_validation_examples=5_348,
    num_test_examples=2_472,
    output_layer="lin",
    needs=Needs(evaluation_time=134, memory_gib=64, cpus=32),
    model=dict(activation="relu", residual=True, norm="batch", freq_mask_count=2, time_mask_count=10),
)

VARIANTS = {
    "tanh": dict(model=dict(activation="tanh"), target=dict(validation=0.150883, test=0.098613)),
    "no_resnet": dict(model=dict(residual=False), target=dict(validation=0.131564, test=0.079297)),
    "norm_and_spec_aug": dict(
        model=dict(norm="layer", freq_mask_count=4, time_mask_count=15),
        target=dict(validation=0.14342, test=0.090976),
        eval_batch_size=128,
    ),
}
