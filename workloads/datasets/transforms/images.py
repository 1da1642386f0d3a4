"""The images of a store as batches: decoded, cropped, resized, flipped, augmented and normalised.

A store of images has parts of two files, `<part>.jpegs`, the bytes of the image files one after another, and
`<part>.index`, one INDEX row an image. Source: AlgoPerf v0.6, ImageNet pipeline of the JAX workloads.
"""

import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

from algoperf.benchmark.facts import Split
from workloads.datasets.sheet.card import Card, picture
from workloads.datasets.source import Batch, RowSource, Source, made_up_numbers, read_one
from workloads.datasets.store import evenly_spaced, memory_map, read_manifest
from workloads.datasets.transforms.augment import uniform
from workloads.datasets.transforms.mixup import beta_weight, mix_images, mix_labels
from workloads.datasets.transforms.rand_augment import DRAWS, rand_augment
from workloads.datasets.transforms.resample import CROP_DRAWS, bicubic, centre_crops, random_crops

INDEX = np.dtype([("offset", "<i8"), ("size", "<i4"), ("label", "<i4"), ("height", "<i4"), ("width", "<i4")])
BYTES_PER_JOB = 1 << 18  # of JPEG, when read: threads hinder each other where a job is much less than a millisecond
MADE_UP_IMAGES = 64
MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255
STD = np.array([0.229, 0.224, 0.225], np.float32) * 255


def open_split(store: Path, split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    """The images of a split at `data["image_size"]`. Of all but train, every n-th.

    Those of train are augmented: by crop and flip, then by `data["rand_augment"]` operations of RandAugment, and with
    mixup of `data["mixup_alpha"]`, where these are not 0.
    """
    names = [part.name for part in read_manifest(store).of("train" if split == "eval_train" else split)]
    indices = [memory_map(store / f"{name}.index", INDEX) for name in names]
    index, shards = np.concatenate(indices), np.repeat(np.arange(len(names)), [len(index) for index in indices])
    num_classes = int(index["label"].max()) + 1
    if split != "train":
        chosen = evenly_spaced(len(index), num_examples)
        index, shards = index[chosen], shards[chosen]
    jpegs = [memory_map(store / f"{name}.jpegs", np.dtype(np.uint8)) for name in names]
    images = Images(jpegs, shards, index, int(data["image_size"]))
    if split != "train":
        return EvaluationImages(images)
    return TrainingImages(images, num_classes, int(data["rand_augment"]), float(data["mixup_alpha"]))


def made_up_images(split: Split, num_examples: int, data: Mapping[str, object], num_classes: int) -> Source:
    """Photographs of noise that was blurred until a JPEG of 500 x 375 has 110 kB, as ImageNet's have on average; as
    much smaller as the images that they are cropped to are smaller than 224.
    """
    random, size = made_up_numbers(), int(data["image_size"])
    jpegs, index, offset = [], np.empty(MADE_UP_IMAGES, INDEX), 0
    for number in range(MADE_UP_IMAGES):
        height, width = (max(size, edge * size // 224) for edge in ((375, 500), (500, 375))[number % 2])
        coarse = random.integers(256, size=(height // 2, width // 2, 3)).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(file, "jpeg", quality=85)
        jpegs.append(np.frombuffer(file.getvalue(), np.uint8))
        index[number] = offset, len(jpegs[-1]), random.integers(num_classes), height, width
        offset += len(jpegs[-1])
    numbers = np.arange(num_examples) % MADE_UP_IMAGES
    images = Images([np.concatenate(jpegs)], np.zeros(num_examples, np.int64), index[numbers], size)
    if split != "train":
        return EvaluationImages(images)
    return TrainingImages(images, num_classes, int(data["rand_augment"]), float(data["mixup_alpha"]))


class Images:
    """The images of one split, cropped to (S, S, 3)."""

    def __init__(self, jpegs: list[np.ndarray], shards: np.ndarray, index: np.ndarray, size: int) -> None:
        """jpegs: the bytes of each part. shards, index: of each image, which part it is in, and where. size: S."""
        self.index = index
        self.size = size
        self._jpegs = jpegs
        self._shards = shards

    def read(
        self,
        indices: np.ndarray,
        crops: np.ndarray,
        flips: np.ndarray,
        draws: np.ndarray,
        pool: ThreadPoolExecutor,
    ) -> np.ndarray:
        """Normalised images (B, S, S, 3) float32.

        crops: (B, 4) as top, left, height, width. flips: (B,) bool. draws: (B, n * DRAWS) for n operations of
        RandAugment.
        """
        inputs = np.empty((len(indices), self.size, self.size, 3), np.float32)
        jobs = max(1, int(self.index["size"][indices].sum()) // BYTES_PER_JOB)
        arrays = (indices, crops, flips, draws, inputs)
        list(pool.map(self._fill, *(np.array_split(array, jobs) for array in arrays)))
        return inputs

    def _fill(
        self, indices: np.ndarray, crops: np.ndarray, flips: np.ndarray, draws: np.ndarray, inputs: np.ndarray
    ) -> None:
        """Writes the images `indices` into `inputs`."""
        mean, deviation = np.tile(MEAN, self.size), np.tile(STD, self.size)
        lines = (self.size, self.size * 3)  # long lines are computed faster than pixels
        for number, (top, left, height, width) in enumerate(crops.tolist()):
            pixels = decoded(self._content(indices[number]))[top : top + height, left : left + width]
            image = bicubic(pixels, self.size, flip=bool(flips[number]))
            if draws.shape[1]:
                whole_numbers = np.clip(image, 0, 255).astype(np.uint8)
                image = rand_augment(np.ascontiguousarray(whole_numbers), draws[number])
            np.subtract(image.reshape(lines), mean, out=inputs[number].reshape(lines))
        all_lines = inputs.reshape(-1, self.size * 3)
        all_lines /= deviation

    def _content(self, index: int) -> np.ndarray:
        place = self.index[index]
        return self._jpegs[self._shards[index]][place["offset"] : place["offset"] + place["size"]]


class EvaluationImages(RowSource):
    """The middle of each image."""

    def __init__(self, images: Images) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images.index)

    def read(
        self, indices: np.ndarray, epochs: np.ndarray, rows: slice, size: int, seed: int, pool: ThreadPoolExecutor
    ) -> Batch:
        """inputs (B, S, S, 3) float32, channels normalised by ImageNet's mean and deviation; targets (B,) int32."""
        indices = indices[rows]
        of_batch = self._images.index[indices]
        crops = centre_crops(of_batch["height"], of_batch["width"])
        never, nothing = np.zeros(len(indices), bool), np.empty((len(indices), 0))
        inputs = self._images.read(indices, crops, never, nothing, pool)
        return {"inputs": inputs, "targets": of_batch["label"].astype(np.int32)}

    def show(self, number: int) -> Card:
        """The image as the model gets it, and its label."""
        batch = read_one(self, number)
        pixels = np.clip(batch["inputs"][0] * STD + MEAN, 0, 255).round().astype(np.uint8)
        label = f"label {batch['targets'][0]}"
        return Card(f"image {number:,}: {label}", (picture(pixels, label),))


class TrainingImages(RowSource):
    """Random crops, flipped or not, with RandAugment and mixup where they are wanted."""

    def __init__(self, images: Images, num_classes: int, num_operations: int, mixup_alpha: float) -> None:
        self._images = images
        self._num_classes = num_classes
        self._num_draws = CROP_DRAWS + 1 + num_operations * DRAWS
        self._mixup_alpha = mixup_alpha

    def __len__(self) -> int:
        return len(self._images.index)

    def read(
        self, indices: np.ndarray, epochs: np.ndarray, rows: slice, size: int, seed: int, pool: ThreadPoolExecutor
    ) -> Batch:
        """inputs as of `EvaluationImages`; targets (B,) int32, or with mixup (B, classes) float32."""
        if not self._mixup_alpha:
            inputs, labels = self._read(indices[rows], epochs[rows], seed, pool)
            return {"inputs": inputs, "targets": labels}
        wanted = np.arange(len(indices))[rows]
        with_one_before = np.concatenate([wanted[:1] - 1, wanted])  # -1: before the first is the last
        inputs, labels = self._read(indices[with_one_before], epochs[with_one_before], seed, pool)
        of_batch = uniform(seed, epochs[:1], indices[:1], self._num_draws + 1)[0, -1]
        weight = beta_weight(self._mixup_alpha, of_batch)
        return {
            "inputs": mix_images(inputs, weight, pool),
            "targets": mix_labels(labels, weight, self._num_classes),
        }

    def _read(
        self, indices: np.ndarray, epochs: np.ndarray, seed: int, pool: ThreadPoolExecutor
    ) -> tuple[np.ndarray, np.ndarray]:
        """Images (B, S, S, 3) and labels (B,) before mixup."""
        of_batch = self._images.index[indices]
        draws = uniform(seed, epochs, indices, self._num_draws)
        crops = random_crops(of_batch["height"], of_batch["width"], draws[:, :CROP_DRAWS])
        flips, operations = draws[:, CROP_DRAWS] < 0.5, draws[:, CROP_DRAWS + 1 :]
        return self._images.read(indices, crops, flips, operations, pool), of_batch["label"].astype(np.int32)


def decoded(jpeg: np.ndarray | bytes) -> np.ndarray:
    """The pixels (H, W, 3) uint8 of an image file, in RGB whatever it is.

    libjpeg-turbo's fast inverse DCT is the one that TensorFlow uses. What it can not read, as ImageNet's one PNG image,
    Pillow does. Whether a file is whole was seen when it was prepared.
    """
    try:
        return simplejpeg.decode_jpeg(jpeg, fastdct=True, strict=False)
    except ValueError:
        with Image.open(io.BytesIO(jpeg)) as image:
            return np.asarray(image.convert("RGB"))
