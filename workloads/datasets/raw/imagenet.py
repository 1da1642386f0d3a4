"""Where the images of ImageNet are before they are prepared: for each split a folder, or else an original archive.

train: `train/<wnid>/*.JPEG`, or `ILSVRC2012_img_train.tar`, which holds a tar archive `<wnid>.tar` for each class.
validation: `val/<wnid>/*.JPEG`, or `ILSVRC2012_img_val.tar` with the labels in `ILSVRC2012_devkit_t12.tar.gz`.
test, ImageNet-v2: `imagenetv2-matched-frequency-format-val/<class number>/*.jpeg`, or
`imagenetv2-matched-frequency.tar.gz`, where that folder is; it is a plain tar archive in spite of its name.

A label is the place of its wnid in sorted order. Archives are read where they lie and not unpacked.
"""

import contextlib
import dataclasses
import functools
import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import scipy.io

from algoperf.benchmark.facts import Split, UsageError

FOLDERS: dict[Split, str] = {
    "train": "train",
    "validation": "val",
    "test": "imagenetv2-matched-frequency-format-val",
}
ARCHIVES: dict[Split, str] = {
    "train": "ILSVRC2012_img_train.tar",
    "validation": "ILSVRC2012_img_val.tar",
    "test": "imagenetv2-matched-frequency.tar.gz",
}
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
SUFFIXES = (".jpeg", ".jpg")
_SYNSETS, _GROUND_TRUTH = "meta.mat", "ILSVRC2012_validation_ground_truth.txt"


class RawImage(NamedTuple):
    """An image file: where it is (`archive.tar/member` inside an archive), its label and its content."""

    path: Path
    label: int
    content: bytes


@dataclasses.dataclass(frozen=True)
class Group:
    """Images that are prepared together: a class of train, or another split. num_bytes: about their size. count: how
    many they are, where that is known before they are read.
    """

    name: str
    split: Split
    num_bytes: int
    images: Callable[[], Iterator[RawImage]]
    count: int | None = None


def groups(raw: Path, num_classes: int | None = None, examples: Mapping[Split, int] | None = None) -> list[Group]:
    """All images: the classes of train in sorted order, then the other splits.

    num_classes, examples: how many classes there are, and images of each split, where that is known.
    Raises UsageError where a split is missing, has no images, or has other classes than train, or other numbers.
    """
    for split, folder in FOLDERS.items():
        if not (raw / folder).is_dir() and not (raw / ARCHIVES[split]).is_file():
            raise UsageError(
                f"{raw} has neither the folder {folder} nor the archive {ARCHIVES[split]}; "
                "docs/data.md says how the raw files are laid out."
            )
    train = _train_folders(raw / FOLDERS["train"]) if _is_folder(raw, "train") else _train_archive(raw)
    classes = list(train)
    if num_classes not in (None, len(classes)):
        raise UsageError(f"the training images in {raw} have {len(classes):,} classes and not {num_classes:,}.")
    validation = _folders(raw, "validation", classes) if _is_folder(raw, "validation") else _validation(raw, classes)
    test = _folders(raw, "test", classes) if _is_folder(raw, "test") else _test(raw, len(classes))
    found = [*train.values(), validation, test]
    _check_counts(raw, found, examples or {})
    return found


def _check_counts(raw: Path, found: list[Group], examples: Mapping[Split, int]) -> None:
    for split, wanted in examples.items():
        counts = [group.count for group in found if group.split == split]
        if None not in counts and sum(counts) != wanted:
            raise UsageError(f"{raw / FOLDERS[split]} has {sum(counts):,} images and not {wanted:,}; is it complete?")


def _is_folder(raw: Path, split: Split) -> bool:
    return (raw / FOLDERS[split]).is_dir()


def _train_folders(folder: Path) -> dict[str, Group]:
    """Class -> its images."""
    found = {}
    for label, (name, files) in enumerate(_files_of_classes(folder).items()):
        images = functools.partial(_from_files, [(file, label) for file in files])
        found[name] = Group(f"train-{name}", "train", _size(files), images, len(files))
    return found


def _folders(raw: Path, split: Split, classes: list[str]) -> Group:
    """The images of a split whose folders are named as those of train, or by the numbers of the classes."""
    folder = raw / FOLDERS[split]
    files = _files_of_classes(folder)
    numbers = [str(label) for label in range(len(classes))]
    labels = {name: label for label, name in enumerate(numbers if set(files) == set(numbers) else classes)}
    if different := set(files) ^ set(labels):
        raise UsageError(f"{folder} and the training images differ in the class {min(different)}.")
    labelled = [(file, labels[name]) for name, of_class in files.items() for file in of_class]
    images = functools.partial(_from_files, labelled)
    return Group(split, split, _size(file for file, _ in labelled), images, len(labelled))


def _files_of_classes(folder: Path) -> dict[str, list[Path]]:
    files = {}
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        files[path.name] = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        if not files[path.name]:
            raise UsageError(f"there are no JPEG files in {path}; is it complete?")
    if not files:
        raise UsageError(f"{folder} has no folders of classes; docs/data.md says how the raw files are laid out.")
    return files


def _size(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _from_files(files: list[tuple[Path, int]]) -> Iterator[RawImage]:
    for path, label in files:
        yield RawImage(path, label, path.read_bytes())


def _train_archive(raw: Path) -> dict[str, Group]:
    """Class -> its images, in the archive that holds an archive for each class."""
    path = raw / ARCHIVES["train"]
    with _named_if_damaged(path), tarfile.open(path, "r:") as archive:
        members = {PurePosixPath(member.name).stem: member for member in archive if member.name.endswith(".tar")}
    if not members:
        raise UsageError(f"{path} holds no archives of classes; is it ImageNet's?")
    found = {}
    for label, name in enumerate(sorted(members)):
        images = functools.partial(_from_class_archive, path, members[name], label)
        found[name] = Group(f"train-{name}", "train", members[name].size, images)
    return found


def _from_class_archive(path: Path, place: tarfile.TarInfo, label: int) -> Iterator[RawImage]:
    """The images of the archive `place` inside of the archive `path`."""
    with _named_if_damaged(path), path.open("rb") as file:
        file.seek(place.offset_data)
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                if member.offset >= place.offset_data + place.size:  # an archive without an end mark
                    break
                yield RawImage(path / place.name / member.name, label, _content(archive, member))


def _validation(raw: Path, classes: list[str]) -> Group:
    path = raw / ARCHIVES["validation"]
    labels = _validation_labels(raw / DEVKIT, classes)
    return Group("validation", "validation", path.stat().st_size, functools.partial(_from_validation, path, labels))


def _from_validation(path: Path, labels: list[int]) -> Iterator[RawImage]:
    """The images of the archive, whose numbers (`ILSVRC2012_val_00000001.JPEG`) are places in `labels`, from 1 on."""
    with _named_if_damaged(path), tarfile.open(path, "r:") as archive:
        for member in archive:
            if member.isfile():
                number = PurePosixPath(member.name).stem.rpartition("_")[2]
                if not number.isdecimal() or not 1 <= int(number) <= len(labels):
                    raise UsageError(f"{path} holds {member.name}, which is none of the {len(labels):,} in {DEVKIT}.")
                yield RawImage(path / member.name, labels[int(number) - 1], _content(archive, member))


def _validation_labels(devkit: Path, classes: list[str]) -> list[int]:
    """The labels of the validation images in the order of their numbers."""
    if not devkit.is_file():
        raise UsageError(f"{devkit} is missing: it has the labels of the images in {ARCHIVES['validation']}.")
    with _named_if_damaged(devkit), tarfile.open(devkit, "r:gz") as archive:
        contents = {PurePosixPath(m.name).name: _content(archive, m) for m in archive if m.isfile()}
    for name in (_SYNSETS, _GROUND_TRUTH):
        if name not in contents:
            raise UsageError(f"{devkit} holds no {name}; is it the development kit of ILSVRC 2012?")
    synsets = scipy.io.loadmat(io.BytesIO(contents[_SYNSETS]), squeeze_me=True)["synsets"]
    wnids = dict(zip(synsets["ILSVRC2012_ID"].tolist(), synsets["WNID"].tolist(), strict=True))
    label_of = {wnid: label for label, wnid in enumerate(classes)}
    of_images = [wnids[int(number)] for number in contents[_GROUND_TRUTH].split()]
    if missing := set(of_images) - set(classes):
        raise UsageError(f"{devkit} has validation images of the class {min(missing)}, which train has not.")
    return [label_of[wnid] for wnid in of_images]


def _test(raw: Path, num_classes: int) -> Group:
    path = raw / ARCHIVES["test"]
    return Group("test", "test", path.stat().st_size, functools.partial(_from_test, path, num_classes))


def _from_test(path: Path, num_classes: int) -> Iterator[RawImage]:
    """The images of the archive, in folders named by label."""
    with _named_if_damaged(path), tarfile.open(path, "r:*") as archive:  # its official archive is a plain one
        for member in archive:
            if member.isfile() and PurePosixPath(member.name).suffix.lower() in SUFFIXES:
                label = PurePosixPath(member.name).parent.name
                if not label.isdecimal() or int(label) >= num_classes:
                    raise UsageError(f"{path} holds {member.name}, whose folder is no number of a class of train.")
                yield RawImage(path / member.name, int(label), _content(archive, member))


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None, f"{member.name} is no file"
    return file.read()


@contextlib.contextmanager
def _named_if_damaged(archive: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UsageError(f"{archive} is damaged or cut short ({error}); get it again.") from error
