"""FineWeb-Edu: a decoder-only Transformer tells the next token of web pages (perplexity)."""

from algoperf.benchmark.facts import Budget, LossType, Needs, Target, WorkloadSpec

_LENGTH = 1_024

WORKLOAD = WorkloadSpec(
    name="finewebedu_lm",
    dataset="finewebedu",
    loss=LossType.SOFTMAX_CROSS_ENTROPY,
    metrics=("ppl", "loss"),
    target=Target(metric="ppl", validation=22.2995, test=None, goal="min"),
    # No part of the scores of v0.6, by whose rules it runs.
    budget={
        "v0.6": Budget(max_runtime=31_967, step_hint=72_000),
        "v0.6-a100": Budget(max_runtime=31_967, step_hint=72_000),
    },
    eval_period=2_571,
    eval_batch_size=256,
    num_train_examples=8_749_870,
    num_eval_train_examples=10_000,
    num_validation_examples=100_000,
    num_test_examples=0,
    output_layer="embedding",
    # The time is an estimate: 110,000 sequences at three times the published training rate.
    needs=Needs(evaluation_time=130, memory_gib=48, cpus=32),
    torch_compile="ampere",  # as the reference has it, where Triton can
    model=dict(vocab_size=50_257, sequence_length=_LENGTH, width=1_024, depth=12, mlp_dim=4_096, num_heads=8),
    data=dict(sequence_length=_LENGTH, vocab_size=50_257),
)

VARIANTS = {}

# State of the Union addresses: the same preparation, pipeline and model, made small.
# The target is made by the benchmark's rule (mini_target.json).
MINI = dict(
    dataset="sotu",
    target=dict(validation=425.0),
    budget={"mini": Budget(max_runtime=3_600, step_hint=300)},
    eval_period=75,
    needs=Needs(evaluation_time=0.5, memory_gib=4, cpus=2),
    batch_divisor=4,
    eval_batch_size=64,
    num_train_examples=54_458,
    num_eval_train_examples=64,
    num_validation_examples=128,
    model=dict(vocab_size=2_048, sequence_length=64, width=64, depth=1, mlp_dim=128, num_heads=2),
    data=dict(sequence_length=64, vocab_size=2_048),
)
