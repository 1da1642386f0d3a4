"""Every workload's model made small, with a batch that fits: the full one's structure at a fraction of its cost."""

import numpy as np

from algoperf.registry import base_of, load_spec, variants
from algoperf.spec import WorkloadSpec, replace
from tests import oracle

BASES = ["criteo1tb", "fastmri", "imagenet_resnet", "imagenet_vit"]
NAMES = [name for base in BASES for name in (base, *variants(base))]
_SMALL = {
    "criteo1tb": dict(vocab_size=4_096, embed_dim=16, bottom_mlp=(16, 16, 16), top_mlp=(32, 32, 32)),
    # Blocks of both kinds.
    "imagenet_resnet": dict(stage_sizes=(2, 1, 1, 1), width=8, num_classes=10),
    "imagenet_vit": dict(patch_size=8, width=16, depth=2, mlp_dim=24, num_heads=2, num_classes=10),
}
# Images of 40 pixels meet ResNet's three strided convolutions with even and with odd sizes; ViT has rows and columns to
# confuse.
_IMAGE_SIZE = {"imagenet_resnet": (40, 40), "imagenet_vit": (16, 24)}


def small_spec(name: str) -> WorkloadSpec:
    spec, base = load_spec(name), base_of(name)
    if base == "fastmri":  # one of whose variants differs in size alone
        channels, pool_layers = spec.model["num_channels"] // 8, spec.model["num_pool_layers"] - 2
        return replace(spec, {"model": dict(num_channels=channels, num_pool_layers=pool_layers)})
    return replace(spec, {"model": _SMALL[base]})


def small_batch(name: str) -> dict[str, np.ndarray]:
    match base_of(name):
        case "criteo1tb":
            return oracle.criteo_batch(32)
        case "fastmri":
            return oracle.fastmri_batch(2, 16)
        case base:
            height, width = _IMAGE_SIZE[base]
            batch = oracle.imagenet_batch(3)
            return {**batch, "inputs": batch["inputs"][:, :height, :width], "targets": batch["targets"] % 10}
