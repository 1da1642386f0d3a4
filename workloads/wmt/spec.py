"""WMT de-en: a Transformer translates German into English (BLEU)."""

from algoperf.spec import Budget, LossType, Needs, Target, WorkloadSpec

WORKLOAD = WorkloadSpec(
    name="wmt",
    dataset="wmt",
    loss=LossType.SOFTMAX_CROSS_ENTROPY,
    metrics=("loss", "accuracy", "bleu"),
    target=Target(metric="bleu", validation=30.8491, test=30.7219, goal="max"),
    budget={
        "v0.5": Budget(max_runtime=48_151, step_hint=133_333),
        "v0.6": Budget(max_runtime=43_336, step_hint=120_000),
    },
    eval_period=840,
    eval_batch_size=128,
    num_train_examples=5_906_184,
    num_eval_train_examples=3_072,
    num_validation_examples=3_000,
    num_test_examples=3_003,
    output_layer="shared_embedding",
    needs=Needs(evaluation_time=541, memory_gib=48, cpus=32),
    model=dict(activation="relu", glu=False, norm="pre", attention_temperature=1.0),
)

VARIANTS = {
    "post_ln": dict(model=dict(norm="post"), target=dict(validation=30.0779, test=29.8982)),
    "attention_temp": dict(model=dict(attention_temperature=4.0), target=dict(validation=29.3379, test=29.4143)),
    "glu_tanh": dict(model=dict(activation="tanh", glu=True), target=dict(validation=29.5779, test=29.0515)),
}
