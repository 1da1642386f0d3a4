"""fastMRI, single-coil knees: HDF5 volumes of k-space -> slices -> images of undersampled k-space, and the true images.

Raw: folders `knee_singlecoil_train` and `knee_singlecoil_val` (or, as the archives unpack, without `knee_`) of `*.h5`,
or their archives. A file is a volume: the datasets `kspace` (slices, rows, columns) complex64 and `reconstruction_esc`
(slices, 320, 320) float32, and the attribute `max`, its largest pixel. The first 100 of the 199 files of val, in the
order of their names, are validation and the others test; another number of files is divided in the same proportion.

Store: k-space of which each column is transformed already and cut to the middle 320 rows (see kspace.py): half as many
numbers, and half of the work at reading. Source: AlgoPerf v0.6, fastMRI pipeline. Validation and test have the
reference's masks to the bit, and eval_train has the same. Training masks differ on purpose: the reference draws them
once for each slice, and here they are new in every epoch.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import scipy.fft

from algoperf.benchmark.facts import Split, UsageError
from workloads.datasets.raw.volumes import unpacked
from workloads.datasets.sheet.card import Card, grey, picture
from workloads.datasets.source import Batch, RowSource, Source, made_up_numbers, raw_folder, read_one
from workloads.datasets.store import (
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
from workloads.datasets.transforms.augment import uniform
from workloads.datasets.transforms.kspace import image, sampled_columns, transformed_columns
from workloads.datasets.transforms.philox import stateless_uniform

TRAIN_FOLDER, VAL_FOLDER = "knee_singlecoil_train", "knee_singlecoil_val"
VALIDATION_FILES, VAL_FILES = 100, 199
VOLUMES = {TRAIN_FOLDER: 973, VAL_FOLDER: VAL_FILES}
IMAGE_SIZE, COLUMNS = 320, 368
MADE_UP_SLICES = 32
VOLUMES_PER_PART = 16
_STORE_BYTES_PER_RAW_BYTE = 0.62  # where k-space has twice the rows of the image

EVALUATION_SEED = (0, 0)  # of TensorFlow; every slice of an evaluation gets the same numbers
LIMIT = 6  # normalised pixels are cut off at -6 and 6

INDEX = np.dtype([("offset", "<i8"), ("columns", "<i4"), ("volume_max", "<f4")])


def fetch(raw: Path, source: Path | None) -> Path:
    """`source`, or where it has archives, `raw` with what is in them."""
    return unpacked(raw_folder(source, "fastMRI"), raw, (TRAIN_FOLDER, VAL_FOLDER))


def prepare(raw: Path, store: Path, progress: Progress) -> None:
    """Raw volumes -> store. Every number is looked at once, so that a damaged file is named here and not in a trial."""
    prepare_volumes(raw, store, progress, "fastmri", "fastMRI, single-coil knees.", str(raw), IMAGE_SIZE, VOLUMES)


def prepare_volumes(
    raw: Path,
    store: Path,
    progress: Progress,
    dataset: str,
    description: str,
    source: str,
    image_size: int,
    volumes: Mapping[str, int] | None = None,
) -> None:
    """`prepare` for any dataset that comes in fastMRI's volumes, with images of `image_size` x `image_size`.

    volumes: how many each folder has, where that is known.
    """
    makers, raw_bytes = {}, 0
    for split, files in _files_by_split(raw, volumes or {}).items():
        with _reading(files[0]) as volume:  # what is wrong with all of them is said at once
            _check_layout(volume, image_size)
        raw_bytes += sum(file.stat().st_size for file in files)
        for number, start in enumerate(range(0, len(files), VOLUMES_PER_PART)):
            name = f"{split}-{number:03}"
            of_part = files[start : start + VOLUMES_PER_PART]
            makers[name] = functools.partial(_make_part, store, name, split, of_part, image_size)
    parts = build(store, makers, int(_STORE_BYTES_PER_RAW_BYTE * raw_bytes), progress)
    write_manifest(store, Manifest(dataset, description, source, parts))


def _files_by_split(raw: Path, volumes: Mapping[str, int]) -> dict[str, list[Path]]:
    """Raises UsageError where a folder is missing, or has not the files that are known, or a split has none."""
    train, val = (_volumes(raw, name, volumes.get(name)) for name in (TRAIN_FOLDER, VAL_FOLDER))
    num_validation = round(len(val) * VALIDATION_FILES / VAL_FILES)
    files = {"train": train, "validation": val[:num_validation], "test": val[num_validation:]}
    for split, of_split in files.items():
        if not of_split:
            raise UsageError(f"there are too few .h5 files for {split} in {raw}; is it complete?")
    return files


def _volumes(raw: Path, name: str, wanted: int | None) -> list[Path]:
    for folder in (raw / name, raw / name.removeprefix("knee_")):
        if folder.is_dir():
            found = sorted(folder.glob("*.h5"))
            if wanted not in (None, len(found)):
                raise UsageError(f"{folder} has {len(found):,} volumes and not {wanted:,}; is it complete?")
            return found
    raise UsageError(f"the folder {raw / name} is missing; docs/data.md says how the raw files are laid out.")


def _make_part(store: Path, name: str, split: str, files: list[Path], image_size: int) -> Part:
    """Writes `<name>.slices`, of each slice the transformed columns and then the image, and `<name>.index`."""
    index = []
    with FileWriter(store / f"{name}.slices") as slices, FileWriter(store / f"{name}.index") as index_file:
        for kspace, target, volume_max in (a_slice for file in files for a_slice in _slices(file, image_size)):
            index.append((slices.size // target.itemsize, kspace.shape[1], volume_max))
            slices.write(transformed_columns(kspace, image_size))
            slices.write(target)
        index_file.write(np.array(index, INDEX))
    return written_part(name, {split: len(index)}, slices, index_file)


def _slices(file: Path, image_size: int) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """k-space, image and the volume's largest pixel (0 where the file does not say) of each slice of a raw file.

    Raises UsageError where the file is not a whole volume of fastMRI.
    """
    with _reading(file) as volume:
        _check_layout(volume, image_size)
        volume_max = float(volume.attrs.get("max", 0.0))
        for number, kspace in enumerate(volume["kspace"]):
            target = volume["reconstruction_esc"][number]
            if not (np.isfinite(kspace).all() and np.isfinite(target).all() and np.isfinite(volume_max)):
                raise ValueError(f"slice {number}, counted from 0, has numbers that are not finite")
            if not kspace.any():
                raise ValueError(f"the k-space of slice {number}, counted from 0, is zero everywhere")
            yield kspace, target, volume_max


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[h5py.File]:
    """An open volume. Raises UsageError for any error that is met in it."""
    try:
        with h5py.File(file, locking=False) as volume:  # many network disks have no locks
            yield volume
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} is damaged or not a volume of fastMRI ({error}); replace it.") from error


def _check_layout(volume: h5py.File, image_size: int) -> None:
    """Raises ValueError where the datasets are missing or not of fastMRI's types and shapes."""
    for name in ("kspace", "reconstruction_esc"):
        if name not in volume:
            raise ValueError(f"it has no dataset {name}{', as a test set without labels' if name != 'kspace' else ''}")
    kspace, targets = volume["kspace"], volume["reconstruction_esc"]
    if kspace.dtype != np.complex64 or kspace.ndim != 3 or min(kspace.shape[1:]) < image_size or not len(kspace):
        found = f"kspace is {kspace.dtype} of shape {kspace.shape}"
        raise ValueError(f"{found}, not complex64 of slices of at least {image_size} x {image_size}")
    wanted = (len(kspace), image_size, image_size)
    if targets.dtype != np.float32 or targets.shape != wanted:
        found = f"reconstruction_esc is {targets.dtype} of shape {targets.shape}"
        raise ValueError(f"{found}, not float32 of shape {wanted}")


def open_split(store: Path, split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    """The slices of a split, with masks of `data["center_fraction"]` and `data["acceleration"]`: new ones every epoch
    in train. eval_train: every n-th of train. Raises UsageError where the store has not images of `data["image_size"]`.
    """
    names = [part.name for part in read_manifest(store).of("train" if split == "eval_train" else split)]
    shards = [memory_map(store / f"{name}.slices", np.dtype("<f4")) for name in names]
    indices = [memory_map(store / f"{name}.index", INDEX) for name in names]
    size = int(data["image_size"])
    for shard, index in zip(shards, indices, strict=True):
        if index[-1]["offset"] + size * (2 * index[-1]["columns"] + size) != len(shard):
            raise UsageError(f"the images in {store} have not {size} x {size} pixels; remove it and prepare it again.")
    index, of_shard = np.concatenate(indices), np.repeat(np.arange(len(names)), [len(index) for index in indices])
    chosen = evenly_spaced(len(index), num_examples)
    mask = functools.partial(
        sampled_columns, center_fraction=data["center_fraction"], acceleration=data["acceleration"]
    )
    return SliceSource(shards, of_shard[chosen], index[chosen], size, mask, augment=split == "train")


def made_up(split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    """Slices of noise, with as many columns of k-space as most knees have: 368 where the image has 320."""
    random, size = made_up_numbers(), int(data["image_size"])
    columns = size * COLUMNS // IMAGE_SIZE
    shard = random.standard_normal((MADE_UP_SLICES, size * (2 * columns + size)), np.float32)
    shard[:, 2 * size * columns :] = np.abs(shard[:, 2 * size * columns :])  # the image
    numbers = np.arange(num_examples) % MADE_UP_SLICES
    index = np.empty(num_examples, INDEX)
    index["offset"], index["columns"], index["volume_max"] = numbers * shard.shape[1], columns, shard.max()
    mask = functools.partial(
        sampled_columns, center_fraction=data["center_fraction"], acceleration=data["acceleration"]
    )
    of_shard = np.zeros(num_examples, np.int64)
    return SliceSource([shard.ravel()], of_shard, index, size, mask, augment=split == "train")


class SliceSource(RowSource):
    """Slices by number: masked, transformed to images and normalised."""

    def __init__(
        self,
        shards: list[np.ndarray],
        of_shard: np.ndarray,
        index: np.ndarray,
        size: int,
        mask: Callable[[np.ndarray], np.ndarray],
        *,
        augment: bool,
    ) -> None:
        """shards: float32 numbers. of_shard, index: of each slice, which shard it is in, and where. mask: uniform
        numbers -> which columns are measured. augment: whether masks depend on slice, epoch and seed."""
        self._shards = shards
        self._of_shard = of_shard
        self._index = index
        self._size = size
        self._mask = mask
        self._augment = augment
        self._evaluation_draws = stateless_uniform(EVALUATION_SEED, index["columns"].max())

    def __len__(self) -> int:
        return len(self._index)

    def read(
        self, indices: np.ndarray, epochs: np.ndarray, rows: slice, size: int, seed: int, pool: ThreadPoolExecutor
    ) -> Batch:
        """inputs, targets (B, S, S) float32: image of the measured columns and true image, normalised by mean and
        deviation of the former; these as mean, std (B,) and the largest pixel of the volume, volume_max (B,) float32.
        """
        indices, epochs = indices[rows], epochs[rows]
        if self._augment:
            draws = uniform(seed, epochs, indices, len(self._evaluation_draws))
        else:
            draws = np.broadcast_to(self._evaluation_draws, (len(indices), len(self._evaluation_draws)))
        inputs, targets = np.empty((2, len(indices), self._size, self._size), np.float32)
        statistics = list(pool.map(self._fill, indices, draws, inputs, targets))
        mean, std = np.array(statistics, np.float32).reshape(-1, 2).T
        volume_max = self._index["volume_max"][indices]
        return {"inputs": inputs, "targets": targets, "mean": mean, "std": std, "volume_max": volume_max}

    def show(self, number: int) -> Card:
        """k-space, what is seen of it, and the true image."""
        batch, (kspace, _) = read_one(self, number), self._stored(number)
        rows = scipy.fft.fftshift(scipy.fft.fft(kspace, axis=0), axes=0)
        images = (
            ("k-space", np.log(np.abs(rows) + 1e-12)),
            ("input", batch["inputs"][0]),
            ("target", batch["targets"][0]),
        )
        parts = tuple(picture(grey(values), what) for what, values in images)
        return Card(f"slice {number:,}: k-space, input, target; largest pixel {batch['volume_max'][0]:.3g}", parts)

    def _stored(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """k-space of which the columns are transformed, (S, columns) complex64, and image (S, S) of a slice."""
        start, columns, _ = self._index[number].item()
        end_of_kspace = start + 2 * self._size * columns
        shard = self._shards[self._of_shard[number]]
        kspace = shard[start:end_of_kspace].view(np.complex64).reshape(self._size, columns)
        return kspace, shard[end_of_kspace : end_of_kspace + self._size**2].reshape(self._size, self._size)

    def _fill(self, number: int, draws: np.ndarray, inputs: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
        """Writes the images of slice `number` and returns mean and deviation of its input before they were taken."""
        kspace, target = self._stored(number)
        undersampled = image(kspace, self._mask(draws[: kspace.shape[1]]))
        mean, std = undersampled.mean(), undersampled.std()
        for pixels, normalised in ((undersampled, inputs), (target, targets)):
            np.subtract(pixels, mean, out=normalised)
            np.divide(normalised, std, out=normalised)
            np.clip(normalised, -LIMIT, LIMIT, out=normalised)
        return mean, std
