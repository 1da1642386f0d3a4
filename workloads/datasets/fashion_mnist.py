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
from workloads.datasets.raw.packages import DebianPackage, check_sha256, unpack_debian
from workloads.datasets.source import Source
from workloads.datasets.store import Progress
from workloads.datasets.transforms.images import made_up_images, open_split

__all__ = ["fetch", "made_up", "open_split", "prepare"]

WAY_OUT = "download the four .gz files of Fashion-MNIST elsewhere and give their folder as --source DIR"
FOLDER = "usr/share/datasets/fashion-mnist"
# Of what they hold.
FILES = {
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
PACKAGE = DebianPackage(
    name="dataset-fashion-mnist",
    version="0.0~git20200523.55506a9-1",
    sha256="39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    files={f"{FOLDER}/{name}": sha256 for name, sha256 in FILES.items()},
)
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
            unpack_debian(PACKAGE, Path(scratch), WAY_OUT)
            source = Path(scratch) / FOLDER
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
    prepare_images(groups(raw), store, progress, "fashion_mnist", description, str(PACKAGE))
