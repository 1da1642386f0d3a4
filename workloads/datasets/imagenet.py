"""ImageNet: folders or archives of JPEG files -> parts of JPEG bytes with an index.

The raw forms are those of raw/imagenet.py. Store: the JPEG bytes as they are, one after another, a part for each class
of train and one for each other split, with an index beside it; images are decoded and resampled when read (`images`),
because augmentation needs them whole.
"""

import functools
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from algoperf.benchmark.facts import Split, UsageError
from workloads.datasets.raw.imagenet import Group, groups
from workloads.datasets.source import Source, raw_folder
from workloads.datasets.store import FileWriter, Manifest, Part, Progress, build, write_manifest, written_part
from workloads.datasets.transforms.images import INDEX, made_up_images, open_split

CLASSES = 1_000
EXAMPLES = {"train": 1_281_167, "validation": 50_000, "test": 10_000}

__all__ = ["fetch", "made_up", "open_split", "prepare"]


def fetch(raw: Path, source: Path | None) -> Path:
    """`source`, with folders or archives."""
    return raw_folder(source, "ImageNet")


def made_up(split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    return made_up_images(split, num_examples, data, CLASSES)


def prepare(raw: Path, store: Path, progress: Progress) -> None:
    """Raw images -> store. Every image is decoded once, so that a damaged one is named here and not in a trial."""
    description = "ImageNet (ILSVRC 2012); test is ImageNet-v2, matched frequency."
    prepare_images(groups(raw, CLASSES, EXAMPLES), store, progress, "imagenet", description, str(raw))


def prepare_images(
    of_raw: Sequence[Group], store: Path, progress: Progress, dataset: str, description: str, source: str
) -> None:
    """`prepare` for any dataset that comes as ImageNet does."""
    makers = {group.name: functools.partial(_make_part, store, group) for group in of_raw}
    parts = build(store, makers, int(1.01 * sum(group.num_bytes for group in of_raw)), progress)
    write_manifest(store, Manifest(dataset, description, source, parts))


def _make_part(store: Path, group: Group) -> Part:
    """Writes `<group>.jpegs`, the content of the files, and `<group>.index`, in the order of labels and file names."""
    rows = []
    with FileWriter(store / f"{group.name}.jpegs") as jpegs, FileWriter(store / f"{group.name}.index") as index:
        for path, label, jpeg in group.images():
            height, width = _checked_size(path, jpeg)
            rows.append((label, path.name, (jpegs.size, len(jpeg), label, height, width)))
            jpegs.write(jpeg)
        index.write(np.array([row for _, _, row in sorted(rows)], INDEX))
    return written_part(group.name, {group.split: len(rows)}, jpegs, index)


def _checked_size(path: Path, jpeg: bytes) -> tuple[int, int]:
    """Height and width of an image file. Raises UsageError where it can not be decoded to its end."""
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
        simplejpeg.decode_jpeg(jpeg, min_height=1, min_width=1, min_factor=8)  # an eighth of the size: all is parsed
    except ValueError:  # or only a warning, or no JPEG
        return _checked_size_of_odd_image(path, jpeg)
    return height, width


def _checked_size_of_odd_image(path: Path, content: bytes) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            return image.height, image.width
    except (UnidentifiedImageError, OSError) as error:
        raise UsageError(f"{path} is not a whole image ({error}); replace it and prepare again.") from error
