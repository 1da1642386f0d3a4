"""ImageNet: folders of JPEG files per class -> shards of JPEG bytes -> batches of normalised images.

Raw: `train/<wnid>/*.JPEG`, `val/<wnid>/*.JPEG` and, for the test split, ImageNet-v2 as
`imagenetv2-matched-frequency-format-val/<class number>/*.jpeg`. A label is the place of its wnid in sorted order.
Store: the JPEG bytes as they are, one after another in shards of a few hundred MB, with an index beside each; images
are decoded and resampled when read, because augmentation needs them whole. Source: AlgoPerf v0.6, ImageNet pipeline of
the JAX workloads.
"""

import functools
import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from algoperf.spec import Split, UsageError
from algoperf.store import (
    FileWriter,
    Manifest,
    Part,
    Progress,
    build,
    evenly_spaced,
    memory_map,
    read_manifest,
    write_manifest,
    written_part,
)
from workloads.datasets.augment import uniform
from workloads.datasets.resample import CROP_DRAWS, bicubic, centre_crops, random_crops
from workloads.datasets.source import Batch, Source

FOLDERS = {"train": "train", "validation": "val", "test": "imagenetv2-matched-frequency-format-val"}
SUFFIXES = (".jpeg", ".jpg")
IMAGES_PER_PART = 4_096
BYTES_PER_JOB = 1 << 18  # of JPEG, when read: threads hinder each other where a job is much less than a millisecond

INDEX = np.dtype([("offset", "<i8"), ("size", "<i4"), ("label", "<i4"), ("height", "<i4"), ("width", "<i4")])
_MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255
_STD = np.array([0.229, 0.224, 0.225], np.float32) * 255


def fetch(raw: Path, source: Path | None) -> Path:
    """`source`; ImageNet can not be downloaded without an account."""
    if source is None:
        raise UsageError("ImageNet has to be downloaded by hand (see docs/data.md); give its folder as --source DIR.")
    return source


def prepare(raw: Path, store: Path, progress: Progress) -> None:
    """Raw folders -> store. Every image is decoded once, so that a damaged one is named here and not in a trial."""
    description = "ImageNet (ILSVRC 2012); test is ImageNet-v2, matched frequency."
    prepare_images(raw, store, progress, "imagenet", description, str(raw))


def prepare_images(raw: Path, store: Path, progress: Progress, dataset: str, description: str, source: str) -> None:
    """`prepare` for any dataset that comes in ImageNet's folders."""
    makers, raw_bytes = {}, 0
    for split, files in _labelled_files(raw).items():
        raw_bytes += sum(path.stat().st_size for path, _ in files)
        for number, start in enumerate(range(0, len(files), IMAGES_PER_PART)):
            name = f"{split}-{number:05}"
            of_part = files[start : start + IMAGES_PER_PART]
            makers[name] = functools.partial(_make_part, store, name, split, of_part)
    parts = build(store, makers, int(1.01 * raw_bytes), progress)
    write_manifest(store, Manifest(dataset, description, source, parts))


def _labelled_files(raw: Path) -> dict[str, list[tuple[Path, int]]]:
    """Split -> its image files with their labels, in the order of their names.

    Raises UsageError where a folder is missing, has no images, or has other classes than train.
    """
    classes = _subfolders(raw / FOLDERS["train"])
    files = {}
    for split, folder in FOLDERS.items():
        names = _subfolders(raw / folder)
        numbers = [str(label) for label in range(len(classes))]
        labels = {name: label for label, name in enumerate(numbers if set(names) == set(numbers) else classes)}
        if different := set(names) ^ set(labels):
            raise UsageError(f"{raw / folder} and {raw / FOLDERS['train']} differ in the class {min(different)}.")
        files[split] = []
        for name in names:
            of_class = sorted(path for path in (raw / folder / name).iterdir() if path.suffix.lower() in SUFFIXES)
            if not of_class:
                raise UsageError(f"there are no JPEG files in {raw / folder / name}; is it complete?")
            files[split] += [(path, labels[name]) for path in of_class]
    return files


def _subfolders(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise UsageError(f"the folder {folder} is missing; docs/data.md says how the raw files are laid out.")
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def _make_part(store: Path, name: str, split: str, files: list[tuple[Path, int]]) -> Part:
    """Writes `<name>.jpegs`, the files' bytes, and `<name>.index`."""
    index = np.zeros(len(files), INDEX)
    with FileWriter(store / f"{name}.jpegs") as jpegs, FileWriter(store / f"{name}.index") as index_file:
        for number, (path, label) in enumerate(files):
            jpeg = path.read_bytes()
            width, height = _checked_size(path, jpeg)
            index[number] = (jpegs.size, len(jpeg), label, height, width)
            jpegs.write(jpeg)
        index_file.write(index)
    return written_part(name, {split: len(index)}, jpegs, index_file)


def _checked_size(path: Path, jpeg: bytes) -> tuple[int, int]:
    """Width and height of an image file. Raises UsageError where it can not be decoded to its end."""
    try:
        with Image.open(io.BytesIO(jpeg)) as image:
            size = image.size
            image.draft("RGB", (1, 1))  # an eighth of the size: the whole file is still parsed, in half the time
            image.load()
    except (UnidentifiedImageError, OSError) as error:
        raise UsageError(f"{path} is not a whole image ({error}); replace it and prepare again.") from error
    return size


def open_split(store: Path, split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    """The images of a split at `data["image_size"]`; those of train are augmented. eval_train: every n-th of train."""
    names = [part.name for part in read_manifest(store).of("train" if split == "eval_train" else split)]
    indices = [memory_map(store / f"{name}.index", INDEX) for name in names]
    index, shards = np.concatenate(indices), np.repeat(np.arange(len(names)), [len(index) for index in indices])
    if split == "eval_train":
        chosen = evenly_spaced(len(index), num_examples)
        index, shards = index[chosen], shards[chosen]
    jpegs = [memory_map(store / f"{name}.jpegs", np.dtype(np.uint8)) for name in names]
    return ImageSource(jpegs, shards, index, int(data["image_size"]), augment=split == "train")


class ImageSource:
    """Images by number: decoded, cropped, resized, flipped and normalised, as a `Source`."""

    block_size = 1

    def __init__(
        self, jpegs: list[np.ndarray], shards: np.ndarray, index: np.ndarray, size: int, *, augment: bool
    ) -> None:
        """jpegs: the bytes of each shard. shards, index: of each image, which shard it is in, and where."""
        self._jpegs = jpegs
        self._shards = shards
        self._index = index
        self._size = size
        self._augment = augment

    def __len__(self) -> int:
        return len(self._index)

    def read(self, indices: np.ndarray, epochs: np.ndarray, seed: int, pool: ThreadPoolExecutor) -> Batch:
        """inputs (B, S, S, 3) float32, channels normalised by ImageNet's mean and deviation; targets (B,) int32."""
        rows = self._index[indices]
        if self._augment:
            draws = uniform(seed, epochs, indices, CROP_DRAWS + 1)
            crops = random_crops(rows["height"], rows["width"], draws[:, :CROP_DRAWS])
            flips = draws[:, CROP_DRAWS] < 0.5
        else:
            crops = centre_crops(rows["height"], rows["width"])
            flips = np.zeros(len(rows), bool)
        inputs = np.empty((len(rows), self._size, self._size, 3), np.float32)
        jobs = max(1, int(rows["size"].sum()) // BYTES_PER_JOB)
        list(pool.map(self._fill, *(np.array_split(array, jobs) for array in (indices, crops, flips, inputs))))
        return {"inputs": inputs, "targets": rows["label"].astype(np.int32)}

    def _fill(self, indices: np.ndarray, crops: np.ndarray, flips: np.ndarray, inputs: np.ndarray) -> None:
        """Writes the images `indices` into `inputs`."""
        rows = self._index[indices]
        places = zip(self._shards[indices].tolist(), rows["offset"].tolist(), rows["size"].tolist(), strict=True)
        for (shard, offset, size), crop, flip, into in zip(places, crops.tolist(), flips.tolist(), inputs, strict=True):
            image = bicubic(_decoded(self._jpegs[shard][offset : offset + size], *crop), self._size)
            np.subtract(image[:, ::-1] if flip else image, _MEAN, out=into)
            np.divide(into, _STD, out=into)


def _decoded(jpeg: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    """The crop (height, width, 3) uint8 of an image file; grey, CMYK and PNG images become RGB."""
    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(image.convert("RGB"))[top : top + height, left : left + width]
