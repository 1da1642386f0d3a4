"""How many images the processors of the machine make ready in a second."""

import io
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from algoperf.benchmark.registry import load_spec
from benchmarks.gpu.steps import Row, may_take
from workloads.datasets.transforms.images import INDEX, Images, TrainingImages

_HEIGHT, _WIDTH = 375, 500  # about those of ImageNet
_IMAGES = 64
_THREADS = 32  # that feed 8 GPUs
_BATCH = 1_024


def pipeline(is_tiny: bool) -> Iterator[Row]:
    jpegs = _jpegs()
    ends = np.cumsum([0, *map(len, jpegs)])
    index = np.array([(ends[i], len(jpeg), 1, _HEIGHT, _WIDTH) for i, jpeg in enumerate(jpegs)], INDEX)
    shard, threads = np.frombuffer(b"".join(jpegs), np.uint8), os.cpu_count() or 1
    for name in ("imagenet_resnet", "imagenet_vit"):
        data = load_spec(name).data
        images = Images([shard], np.zeros(_IMAGES, int), index, data["image_size"])
        source = TrainingImages(images, 10, data["rand_augment"], data["mixup_alpha"])
        ids = np.tile(np.arange(_IMAGES), 1 if is_tiny else 16)
        with ThreadPoolExecutor(threads) as pool:
            begin = time.perf_counter()
            source.read(ids, np.zeros(len(ids), np.int64), slice(0, len(ids)), len(ids), 0, pool)
        rate, wanted = len(ids) / (time.perf_counter() - begin), 1e3 * _BATCH / may_take(name)
        expected = f"{wanted:,.0f} where {_THREADS} threads feed 8 V100"
        seen = f"{rate:,.0f} on {threads} threads"
        yield Row(f"images a second, {name}", expected, seen, rate >= wanted if threads >= _THREADS else None)


def _jpegs() -> list[bytes]:
    random = np.random.default_rng(0)
    found = []
    for _ in range(_IMAGES):
        rough = Image.fromarray(random.integers(0, 255, (12, 16, 3), dtype=np.uint8)).resize((_WIDTH, _HEIGHT))
        noise = random.integers(-12, 12, (_HEIGHT, _WIDTH, 3))
        file = io.BytesIO()
        Image.fromarray(np.clip(np.asarray(rough) + noise, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
        found.append(file.getvalue())
    return found
