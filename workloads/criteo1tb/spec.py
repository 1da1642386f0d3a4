"""Criteo 1TB with DLRM-small (binary cross entropy): click-through rates from 13 numbers and 26 categories."""

from algoperf.benchmark.facts import Budget, LossType, Needs, Target, WorkloadSpec

_HIDDEN = [f"bottom_mlp.{i}" for i in range(3)] + [f"top_mlp.{i}" for i in range(4)]
_LINEARS = [*(f"{layer}.linear" for layer in _HIDDEN), "head"]
_NORMS = [*(f"{layer}.norm" for layer in _HIDDEN), "embedding_norm"]


def _reference_names(linears: str, norms: str = "") -> dict[str, str | tuple[str, ...]]:
    """Our name of each module -> the reference's, given its modules in our order, separated by spaces."""
    modules = [*zip(_LINEARS, linears.split(), strict=True), *zip(_NORMS, norms.split(), strict=bool(norms))]
    return {"embedding.weight": tuple(f"embedding_chunk_{i}" for i in range(4)), **dict(modules)}


WORKLOAD = WorkloadSpec(
    name="criteo1tb",
    dataset="criteo1tb",
    loss=LossType.SIGMOID_CROSS_ENTROPY,
    metrics=("loss",),
    target=Target(metric="loss", validation=0.123735, test=0.126041, goal="min"),
    budget={
        "v0.5": Budget(max_runtime=7_703, step_hint=10_666),
        "v0.6": Budget(max_runtime=7_703, step_hint=10_666),
        "v0.6-a100": Budget(max_runtime=8_915, step_hint=10_666, eval_period=356),
    },
    eval_period=120,
    eval_batch_size=131_072,
    num_train_examples=4_195_197_692,
    num_eval_train_examples=83_361_792,
    num_validation_examples=83_274_637,
    num_test_examples=95_000_000,
    output_layer="head",
    needs=Needs(evaluation_time=375, memory_gib=64, cpus=32),
    cudnn_benchmark=False,  # as the reference has it
    model=dict(
        vocab_size=4_194_304,
        embed_dim=128,
        bottom_mlp=(512, 256, 128),
        top_mlp=(1_024, 1_024, 512, 256),
        interaction="dot",
        skip="none",
        norm="none",
        embed_init="scaled",
    ),
    reference_names=_reference_names(
        "bot_mlp.0 bot_mlp.2 bot_mlp.4 top_mlp.0 top_mlp.2 top_mlp.4 top_mlp.6 top_mlp.9",
    ),
)

VARIANTS = {
    "layernorm": dict(
        model=dict(norm="layer"),
        target=dict(validation=0.123757, test=0.126152),
        reference_names=_reference_names(
            linears="bot_mlp.0 bot_mlp.3 bot_mlp.6 top_mlp.0 top_mlp.3 top_mlp.6 top_mlp.9 top_mlp.13",
            norms="bot_mlp.2 bot_mlp.5 bot_mlp.8 top_mlp.2 top_mlp.5 top_mlp.8 top_mlp.11 embed_ln",
        ),
    ),
    "embed_init": dict(model=dict(embed_init="unit"), target=dict(validation=0.129657, test=0.131967)),
    "resnet": dict(
        model=dict(bottom_mlp=(256, 256, 256), top_mlp=(256, 256, 256, 256), interaction="concat", skip="add"),
        target=dict(validation=0.12415, test=0.12648),
        reference_names=_reference_names(
            "bot_mlp.0.module.0 bot_mlp.1.module.0 bot_mlp.2.module.0 "
            "top_mlp.0.module.0 top_mlp.1.module.0 top_mlp.2.module.0 top_mlp.3.module.0 top_mlp.4.module.0",
        ),
    ),
}

# New York City flights written as Criteo day files: is the flight late? Real, but not advertising.
# A trial sees each flight about once: in a second epoch the model would overfit, and the loss on validation rise.
# The target is made by the benchmark's rule (mini_target.json); validation's prior alone gives 0.574.
MINI = dict(
    dataset="nyc_flights",
    target=dict(validation=0.515, test=0.534),
    budget={"mini": Budget(max_runtime=3_600, step_hint=240)},
    eval_period=75,
    needs=Needs(evaluation_time=0.5, memory_gib=4, cpus=2),
    batch_divisor=256,
    eval_batch_size=8_192,
    num_train_examples=254_475,
    num_eval_train_examples=8_192,
    num_validation_examples=16_384,
    num_test_examples=8_192,
    model=dict(vocab_size=16_384, embed_dim=16, bottom_mlp=(64, 32, 16), top_mlp=(128, 64, 32)),
)
