"""LibriSpeech with DeepSpeech 2 and CTC (word error rate as the reference counts it)."""

from algoperf.benchmark.facts import Budget, LossType, Needs, Sum, Target, WorkloadSpec

_RECURRENT_DEPTH, _FEED_FORWARD_DEPTH = 6, 3


def _reference_names(norm: str, norm_scale: str) -> dict[str, str | Sum]:
    """Our name of each module or parameter -> the reference's; its LSTMs add up two biases for our one.

    norm, norm_scale: how it calls the norm of a layer, and the scale of that.
    """
    names: dict[str, str | Sum] = {
        "subsampling.conv1.weight": "subsample.conv1.kernel",
        "subsampling.conv2.weight": "subsample.conv2.kernel",
        "subsampling.linear": "subsample.lin",
        "subsampling": "subsample",
        "norm": "ln",
        "head": "lin",
    }
    recurrent = {f"recurrent.{i}": f"lstms.{i}" for i in range(_RECURRENT_DEPTH)}
    feed_forward = {f"feed_forward.{i}": f"ffns.{i}" for i in range(_FEED_FORWARD_DEPTH)}
    for ours, theirs in (recurrent | feed_forward).items():
        names |= {f"{ours}.norm": f"{theirs}.{norm}", f"{ours}.norm.scale": f"{theirs}.{norm}.{norm_scale}"}
    for ours, theirs in feed_forward.items():
        names[f"{ours}.linear"] = f"{theirs}.lin"
    for ours, theirs in recurrent.items():
        for way, suffix in {"forwards": "l0", "backwards": "l0_reverse"}.items():
            names |= {
                f"{ours}.lstm.{way}.input_weight": f"{theirs}.lstm.weight_ih_{suffix}",
                f"{ours}.lstm.{way}.hidden_weight": f"{theirs}.lstm.weight_hh_{suffix}",
                f"{ours}.lstm.{way}.bias": Sum((f"{theirs}.lstm.bias_ih_{suffix}", f"{theirs}.lstm.bias_hh_{suffix}")),
            }
    return names


WORKLOAD = WorkloadSpec(
    name="librispeech_deepspeech",
    dataset="librispeech",
    loss=LossType.CTC_LOSS,
    metrics=("wer", "wer_true", "ctc_loss"),
    target=Target(metric="wer", validation=0.119936, test=0.074143, goal="min"),
    budget={
        "v0.5": Budget(max_runtime=55_506, step_hint=48_000),
        "v0.6": Budget(max_runtime=44_405, step_hint=38_400),
        "v0.6-a100": Budget(max_runtime=36_949, step_hint=38_400, eval_period=1_447),
    },
    eval_period=1_440,
    eval_batch_size=256,
    num_train_examples=263_840,
    num_eval_train_examples=5_376,
    num_validation_examples=5_348,
    num_test_examples=2_472,
    output_layer="head",
    needs=Needs(evaluation_time=134, memory_gib=64, cpus=32),
    model=dict(
        width=512,
        recurrent_depth=_RECURRENT_DEPTH,
        feed_forward_depth=_FEED_FORWARD_DEPTH,
        activation="relu",
        norm="batch",
        shortcut="identity",
        time_mask_count=10,
        freq_mask_count=2,
        vocab_size=1_024,
    ),
    data=dict(max_samples=320_000, max_tokens=256),
    dropout_rate=0.1,
    reference_names=_reference_names("bn_normalization_layer", "weight"),
)

VARIANTS = {
    "tanh": dict(model=dict(activation="tanh"), target=dict(validation=0.150883, test=0.098613)),
    "no_resnet": dict(model=dict(shortcut="none"), target=dict(validation=0.131564, test=0.079297)),
    "norm_and_spec_aug": dict(
        model=dict(norm="layer", freq_mask_count=4, time_mask_count=15),
        target=dict(validation=0.14342, test=0.090976),
        eval_batch_size=128,
        reference_names=_reference_names("normalization_layer", "scale"),
    ),
}

# Recorded telephone prompts, written as LibriSpeech's folders: the same preparation, pipeline and model, made small.
# Of SpecAugment little is left, because there are but six minutes of speech to hide something of. The target, of the
# loss because words come right after more minutes than this scale has, is made by the benchmark's rule
# (mini_target.json).
# Seeds differ: the running statistics of a momentum of 0.999 are young.
MINI = dict(
    dataset="asterisk_prompts",
    target=dict(metric="ctc_loss", validation=2.75, test=2.73),
    budget={"mini": Budget(max_runtime=3_600, step_hint=200)},
    eval_period=75,
    needs=Needs(evaluation_time=0.5, memory_gib=4, cpus=2),
    batch_divisor=32,
    eval_batch_size=16,
    num_train_examples=201,
    num_eval_train_examples=16,
    num_validation_examples=32,
    num_test_examples=16,
    model=dict(width=32, recurrent_depth=2, feed_forward_depth=1, time_mask_count=1, freq_mask_count=0, vocab_size=32),
    data=dict(max_samples=64_000, max_tokens=64),
)
