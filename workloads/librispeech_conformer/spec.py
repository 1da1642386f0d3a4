"""LibriSpeech with a Conformer and CTC (word error rate as the reference counts it)."""

from algoperf.spec import Budget, LossType, Needs, Target, WorkloadSpec

WORKLOAD = WorkloadSpec(
    name="librispeech_conformer",
    dataset="librispeech",
    loss=LossType.CTC_LOSS,
    metrics=("wer", "ctc_loss"),
    target=Target(metric="wer", validation=0.085884, test=0.052981, goal="min"),
    budget={
        "v0.5": Budget(max_runtime=61_068, step_hint=80_000),
        "v0.6": Budget(max_runtime=58_015, step_hint=76_000),
    },
    eval_period=1_440,
    eval_batch_size=256,
    num_train_examples=263_840,
    num_eval_train_examples=5_376,
    num_validation_examples=5_348,
    num_test_examples=2_472,
    output_layer="lin",
    needs=Needs(evaluation_time=132, memory_gib=64, cpus=32),
    model=dict(activation="swish", attention_temperature=1.0, post_layer_norm=True),
)

VARIANTS = {
    "attention_temperature": dict(
        model=dict(attention_temperature=1.6), target=dict(validation=0.109977, test=0.068065)
    ),
    "layernorm": dict(model=dict(post_layer_norm=False), target=dict(validation=0.09731, test=0.05996)),
    "gelu": dict(model=dict(activation="gelu"), target=dict(validation=0.094114, test=0.056629)),
}
