"""Fashion-MNIST written as ImageNet's folders of JPEG files: the mini scale's images.

Real photographs of clothes, 28 x 28 and grey, in ten classes (Xiao, Rasul and Vollgraf 2017, MIT licence). It is not
ImageNet, and results on it say nothing about ImageNet. Preparation and reading are those of ImageNet.
"""

import gzip
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from algoperf.benchmark.facts import Split, UsageError
from workloads.datasets import processors
from workloads.datasets.imagenet import prepare_images
from workloads.datasets.raw.imagenet import FOLDERS, groups
from workloads.datasets.raw.packages import check_sha256, unpack_debian
from workloads.datasets.source import Source
from workloads.datasets.store import Progress
from workloads.datasets.transforms.images import made_up_images, open_split

__all__ = ["fetch", "made_up", "open_split", "prepare"]

PACKAGE = "dataset-fashion-mnist"
VERSION = "0.0~git20200523.55506a9-1"
SHA256 = "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0"
WAY_OUT = "download the four .gz files of Fashion-MNIST elsewhere and give their folder as --source DIR"
FILES = {
    "train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}
# Split -> the files it is taken from, and which of their images.
SPLITS = {
    "train": ("train", slice(0, 20_000)),
    "validation": ("train", slice(58_000, 60_000)),
    "test": ("t10k", slice(0, 2_000)),
}
CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot")
QUALITY = 95


def fetch(raw: Path, source: Path | None) -> Path:
    """Writes 24,000 JPEG files below `raw`, from the Debian package or from `source`, a folder with its four files."""
    if raw.is_dir():
        return raw
    raw.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=raw.parent) as scratch:
        if source is None:
            unpack_debian(PACKAGE, VERSION, SHA256, Path(scratch), WAY_OUT)
            source = Path(scratch) / "usr/share/datasets/fashion-mnist"
        folders = Path(scratch) / "folders"
        write_folders(source, folders)
        folders.rename(raw)
    return raw


def made_up(split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    return made_up_images(split, num_examples, data, len(CLASSES))


def write_folders(source: Path, raw: Path) -> None:
    """The four files of Fashion-MNIST -> ImageNet's layout. Raises UsageError for a missing or different file."""
    for name, sha256 in FILES.items():
        if not (source / name).is_file():
            raise UsageError(f"{source} has no {name}; it should hold the four .gz files of Fashion-MNIST.")
        check_sha256(source / name, sha256)

    def write(path: Path, pixels: np.ndarray) -> None:
        Image.fromarray(pixels).save(path, "JPEG", quality=QUALITY)

    with ThreadPoolExecutor(processors.available()) as pool:
        for split, (files, which) in SPLITS.items():
            images = _read_idx(source / f"{files}-images-idx3-ubyte.gz")[which]
            labels = _read_idx(source / f"{files}-labels-idx1-ubyte.gz")[which]
            folders = [raw / FOLDERS[split] / f"{label}-{name}" for label, name in enumerate(CLASSES)]
            for folder in folders:
                folder.mkdir(parents=True)
            paths = [folders[label] / f"{number:05}.JPEG" for number, label in enumerate(labels)]
            list(pool.map(write, paths, images))


def _read_idx(path: Path) -> np.ndarray:
    """An IDX file: two zero bytes, 8 for uint8, the number of axes, their lengths (big-endian), the values."""
    content = gzip.decompress(path.read_bytes())
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def prepare(raw: Path, store: Path, progress: Progress) -> None:
    """Raw folders -> store."""
    description = "Fashion-MNIST, 28x28 grey photographs of clothes in ten classes as JPEG: real data, not ImageNet."
    prepare_images(groups(raw), store, progress, "fashion_mnist", description, f"Debian {PACKAGE} {VERSION}")
