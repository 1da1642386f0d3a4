"""Every workload's model made small, with a batch that fits: the full one's structure at a fraction of its cost."""

import functools
from typing import Any

import numpy as np

from algoperf.benchmark.facts import Framework, WorkloadSpec, replace
from algoperf.benchmark.registry import base_of, load_spec, variants
from tests import oracle
from tests.support.functional_models import MODELS, JaxModel, PytorchModel, disturbed

BASES = [
    *("criteo1tb", "fastmri", "finewebedu_lm", "imagenet_resnet", "imagenet_vit"),
    *("librispeech_conformer", "librispeech_deepspeech", "ogbg", "wmt"),
]
NAMES = [name for base in BASES for name in (base, *variants(base))]
_SMALL = {
    "criteo1tb": dict(vocab_size=4_096, embed_dim=16, bottom_mlp=(16, 16, 16), top_mlp=(32, 32, 32)),
    "finewebedu_lm": dict(vocab_size=40, sequence_length=24, width=16, depth=2, mlp_dim=24, num_heads=2),
    # Blocks of both kinds.
    "imagenet_resnet": dict(stage_sizes=(2, 1, 1, 1), width=8, num_classes=10),
    "imagenet_vit": dict(patch_size=8, width=16, depth=2, mlp_dim=24, num_heads=2, num_classes=10),
    "librispeech_conformer": dict(
        width=16, depth=2, num_heads=2, hidden_dim=24, vocab_size=7, time_mask_count=0, freq_mask_count=0
    ),
    "librispeech_deepspeech": dict(
        width=16, recurrent_depth=2, feed_forward_depth=2, vocab_size=7, time_mask_count=0, freq_mask_count=0
    ),
    "ogbg": dict(latent_dim=8, num_message_passing_steps=2, num_tasks=6),
    "wmt": dict(vocab_size=40, width=16, depth=2, mlp_dim=24, num_heads=2),
}
# Images of 40 pixels meet ResNet's three strided convolutions with even and with odd sizes; ViT has rows and columns to
# confuse.
_IMAGE_SIZE = {"imagenet_resnet": (40, 40), "imagenet_vit": (16, 24)}


def small_spec(name: str) -> WorkloadSpec:
    spec, base = load_spec(name), base_of(name)
    if base == "fastmri":  # one of whose variants differs in size alone
        channels, pool_layers = spec.model["num_channels"] // 8, spec.model["num_pool_layers"] - 2
        return replace(spec, {"model": dict(num_channels=channels, num_pool_layers=pool_layers)})
    if base == "ogbg":
        hidden_dims = tuple(width // 32 for width in spec.model["hidden_dims"])
        return replace(spec, {"model": dict(_SMALL[base], hidden_dims=hidden_dims)})
    return replace(spec, {"model": _SMALL[base]})


def small_batch(name: str) -> dict[str, Any]:
    base = base_of(name)
    if base in _IMAGE_SIZE:
        return _images(*_IMAGE_SIZE[base])
    return _BATCHES[base]()


def _images(height: int, width: int) -> dict[str, Any]:
    batch = oracle.imagenet_batch(3)
    return {**batch, "inputs": batch["inputs"][:, :height, :width], "targets": batch["targets"] % 10}


def _recordings() -> dict[str, Any]:
    batch = oracle.librispeech_batch(3, samples=8_000, max_target=4)
    ids, paddings = batch["targets"]
    return {**batch, "targets": (ids % 6 + 1, paddings)}


def _graphs() -> dict[str, Any]:
    batch = oracle.ogbg_batch(3)
    return {**batch, **{key: batch[key][:, :6] for key in ("targets", "weights")}}


def _pairs() -> dict[str, Any]:
    batch = oracle.wmt_batch(3, length=24)
    return {**batch, **{key: _fewer_ids(batch[key]) for key in ("inputs", "targets")}}


def _fewer_ids(ids: np.ndarray) -> np.ndarray:
    """All below 40; 0, padding, and 2, the end of a sentence, stay."""
    return np.where(ids > 2, 3 + ids % 37, ids)


def _text() -> dict[str, Any]:
    tokens = np.random.RandomState(0).randint(0, 40, size=(3, 25)).astype(np.int32)
    return {"inputs": tokens[:, :-1], "targets": tokens[:, 1:]}


_BATCHES = {
    "criteo1tb": lambda: oracle.criteo_batch(32),
    "fastmri": lambda: oracle.fastmri_batch(2, 16),
    "finewebedu_lm": _text,
    "librispeech_conformer": _recordings,
    "librispeech_deepspeech": _recordings,
    "ogbg": _graphs,
    "wmt": _pairs,
}


@functools.cache
def small_model(name: str, framework: Framework) -> JaxModel | PytorchModel:
    """In float64, where the frameworks have no excuse to differ. All tests share it: JAX compiles it once."""
    return MODELS[framework](small_spec(name), np.float64)


@functools.cache
def small_tensors(name: str) -> dict[str, np.ndarray]:
    """Weights for it, none of them at a value at which a fault would go unnoticed."""
    return disturbed(small_model(name, "pytorch").initial(seed=0))
