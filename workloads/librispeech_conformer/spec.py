"""LibriSpeech with a Conformer and CTC (word error rate as the reference counts it)."""

from algoperf.benchmark.facts import Budget, LossType, Needs, Rows, Target, WorkloadSpec

_DEPTH = 4


def _reference_names() -> dict[str, str | Rows]:
    """Our name of each module -> the reference's; one of its tensors in attention is our three."""
    of_block = {
        f"feed_forward{i}.{ours}": f"ff{i}.{theirs}"
        for i in (1, 2)
        for ours, theirs in {"norm": "ln", "hidden": "linear1", "out": "linear2"}.items()
    }
    of_block |= {
        "attention.norm": "mhsa.ln",
        "attention.out": "mhsa.self_attention.out_proj",
        "attention.query_scale": "mhsa.self_attention.qs.scale",
        "convolution.norm": "conv.ln",
        "convolution.value": "conv.lin1",
        "convolution.gate": "conv.lin2",
        "convolution.depthwise": "conv.conv1",
        "convolution.batch_norm": "conv.bn",
        "convolution.out": "conv.lin3",
        "norm": "ln",
    }
    return {
        "subsampling.conv1.weight": "subsample.conv1.kernel",
        "subsampling.conv2.weight": "subsample.conv2.kernel",
        "subsampling": "subsample",
        **{
            f"blocks.{i}.{ours}": f"conformers.{i}.{theirs}" for i in range(_DEPTH) for ours, theirs in of_block.items()
        },
        **{
            f"blocks.{i}.attention.{name}": Rows(f"conformers.{i}.mhsa.self_attention.in_proj", part, parts=3)
            for i in range(_DEPTH)
            for part, name in enumerate(("query", "key", "value"))
        },
        "norm": "ln",
        "head": "lin",
    }


WORKLOAD = WorkloadSpec(
    name="librispeech_conformer",
    dataset="librispeech",
    loss=LossType.CTC_LOSS,
    metrics=("wer", "wer_true", "ctc_loss"),
    target=Target(metric="wer", validation=0.085884, test=0.052981, goal="min"),
    budget={
        "v0.5": Budget(max_runtime=61_068, step_hint=80_000),
        "v0.6": Budget(max_runtime=58_015, step_hint=76_000),
        "v0.6-a100": Budget(max_runtime=43_680, step_hint=76_000, eval_period=1_747),
    },
    eval_period=1_440,
    eval_batch_size=256,
    num_train_examples=263_840,
    num_eval_train_examples=5_376,
    num_validation_examples=5_348,
    num_test_examples=2_472,
    output_layer="head",
    needs=Needs(evaluation_time=132, memory_gib=64, cpus=32),
    cudnn_benchmark=False,  # as the reference has it
    model=dict(
        width=512,
        depth=_DEPTH,
        num_heads=8,
        hidden_dim=2_048,
        kernel_size=5,
        activation="silu",
        attention_temperature=1.0,
        block_norm="layer",
        time_mask_count=10,
        freq_mask_count=2,
        vocab_size=1_024,
    ),
    data=dict(max_samples=320_000, max_tokens=256),
    dropout_rate=0.1,
    reference_names=_reference_names(),
)

VARIANTS = {
    "attention_temperature": dict(
        model=dict(attention_temperature=1.6), target=dict(validation=0.109977, test=0.068065)
    ),
    "layernorm": dict(model=dict(block_norm="none"), target=dict(validation=0.09731, test=0.05996)),
    "gelu": dict(model=dict(activation="gelu"), target=dict(validation=0.094114, test=0.056629)),
}

# Recorded telephone prompts, written as LibriSpeech's folders: the same preparation, pipeline and model, made small.
# Of SpecAugment little is left, because there are but six minutes of speech to hide something of. The target, of the
# loss because words come right after more minutes than this scale has, is made by the benchmark's rule
# (mini_target.json).
MINI = dict(
    dataset="asterisk_prompts",
    target=dict(metric="ctc_loss", validation=2.84, test=2.88),
    budget={"mini": Budget(max_runtime=3_600, step_hint=200)},
    eval_period=75,
    needs=Needs(evaluation_time=0.5, memory_gib=4, cpus=2),
    batch_divisor=32,
    eval_batch_size=16,
    num_train_examples=201,
    num_eval_train_examples=16,
    num_validation_examples=32,
    num_test_examples=16,
    model=dict(width=32, depth=1, num_heads=4, hidden_dim=64, time_mask_count=1, freq_mask_count=0, vocab_size=32),
    data=dict(max_samples=64_000, max_tokens=64),
)
