"""ImageNet with ViT-S/16 (accuracy), RandAugment and mixup in training."""

from algoperf.benchmark.facts import Budget, LossType, Needs, Rows, Target, WorkloadSpec

_DEPTH = 12
_MLP = {"hidden": "linear1", "gate": "glu_linear", "out": "linear2"}


def _reference_names() -> dict[str, str | Rows]:
    """Our name of each module -> the reference's; one of its layers in the attention pool is our two."""
    of_block = {"norm1": "layer_norm0", "attention": "self_attention1", "norm2": "layer_norm2"}
    of_block |= {f"mlp.{ours}": f"mlp3.{theirs}" for ours, theirs in _MLP.items()}
    of_pool = {"attention.query": "mha.q_proj", "attention.out": "mha.out_proj", "norm": "layer_norm", "probe": "probe"}
    of_pool |= {f"mlp.{ours}": f"mlp.{theirs}" for ours, theirs in _MLP.items()}
    return {
        "patches": "conv_patch_extract",
        **{
            f"blocks.{i}.{ours}": f"encoder.net.{i}.{theirs}"
            for i in range(_DEPTH)
            for ours, theirs in of_block.items()
        },
        "norm": "encoder.encoder_norm",
        **{f"pool.{ours}": f"map.{theirs}" for ours, theirs in of_pool.items()},
        "pool.attention.key": Rows("map.mha.kv_proj", part=0, parts=2),
        "pool.attention.value": Rows("map.mha.kv_proj", part=1, parts=2),
    }


WORKLOAD = WorkloadSpec(
    name="imagenet_vit",
    dataset="imagenet",
    loss=LossType.SOFTMAX_CROSS_ENTROPY,
    metrics=("accuracy", "loss"),
    target=Target(metric="accuracy", validation=0.77309, test=0.6519, goal="max"),
    budget={
        "v0.5": Budget(max_runtime=77_520, step_hint=186_666),
        "v0.6": Budget(max_runtime=69_768, step_hint=167_999),
        "v0.6-a100": Budget(max_runtime=64_292, step_hint=167_999, eval_period=2_571),
    },
    eval_period=420,
    eval_batch_size=2_048,
    num_train_examples=1_281_167,
    num_eval_train_examples=51_200,
    num_validation_examples=50_000,
    num_test_examples=10_000,
    output_layer="head",
    needs=Needs(evaluation_time=40, memory_gib=48, cpus=32),
    model=dict(
        patch_size=16,
        width=384,
        depth=_DEPTH,
        mlp_dim=1_536,
        num_heads=6,
        gate="none",
        norm="pre",
        pool="gap",
        num_classes=1_000,
    ),
    data=dict(image_size=224, rand_augment=2, mixup_alpha=0.2),
    reference_names=_reference_names(),
)

VARIANTS = {
    "glu": dict(model=dict(gate="linear"), target=dict(validation=0.75738, test=0.6359)),
    "post_ln": dict(model=dict(norm="post"), target=dict(validation=0.75312, test=0.6286)),
    "map": dict(model=dict(pool="map"), target=dict(validation=0.77113, test=0.6523)),
}

# Fashion-MNIST, written as a folder of JPEG files per class: the same preparation, pipeline and model, made small.
# The target is made by the benchmark's rule (mini_target.json).
MINI = dict(
    dataset="fashion_mnist",
    target=dict(validation=0.529, test=0.496),
    budget={"mini": Budget(max_runtime=3_600, step_hint=350)},
    eval_period=75,
    needs=Needs(evaluation_time=0.5, memory_gib=4, cpus=2),
    batch_divisor=16,
    eval_batch_size=256,
    num_train_examples=20_000,
    num_eval_train_examples=256,
    num_validation_examples=512,
    num_test_examples=256,
    model=dict(patch_size=7, width=96, depth=2, mlp_dim=192, num_heads=3, num_classes=10),
    # RandAugment moves images by up to 100 pixels, which are all of these.
    data=dict(image_size=28, rand_augment=0, mixup_alpha=0.2),
)
