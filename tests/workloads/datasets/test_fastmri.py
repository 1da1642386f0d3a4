"""fastMRI: HDF5 volumes as they really are -> the pairs of images that the reference makes of them."""

import errno
import os
import signal
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoperf.benchmark.facts import UsageError
from tests.conftest import REPOSITORY
from tests.support.odd_machines import failing
from workloads.datasets import fastmri
from workloads.datasets.fastmri import TRAIN_FOLDER, VAL_FOLDER, fetch, open_split, prepare_volumes
from workloads.datasets.store import read_manifest, verify
from workloads.datasets.transforms.kspace import image, sampled_columns, transformed_columns
from workloads.datasets.transforms.philox import stateless_uniform

ORACLE = np.load(REPOSITORY / "tests/data/datasets/fastmri.npz")
SIZE = 32
DATA = {"image_size": SIZE, "center_fraction": 0.08, "acceleration": 4}
SLICES = (3, 1, 4, 2, 5)  # of the volumes of train; those of val have two each


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def prepare_small(raw: Path, store: Path, progress=quiet) -> None:
    prepare_volumes(raw, store, progress, "fastmri", "Small volumes of noise.", "the test", SIZE)


def write_volume(path: Path, kspace: np.ndarray, images: np.ndarray, volume_max: float | None = None) -> None:
    with h5py.File(path, "w") as volume:
        volume["kspace"] = kspace
        volume["reconstruction_esc"] = images
        if volume_max is not None:
            volume.attrs["max"] = volume_max


def noise(slices: int, rows: int, columns: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """k-space, and images of SIZE x SIZE."""
    rng = np.random.default_rng(seed)
    kspace = (rng.normal(size=(slices, rows, columns)) + 1j * rng.normal(size=(slices, rows, columns))) * 1e-5
    return kspace.astype(np.complex64), rng.random((slices, SIZE, SIZE), np.float32)


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def raw(tmp_path) -> Path:
    """Five volumes of train and four of val, of several widths, odd ones too; one without its `max`."""
    folder = tmp_path / "raw"
    for name in (TRAIN_FOLDER, VAL_FOLDER):
        (folder / name).mkdir(parents=True)
    for number, slices in enumerate(SLICES):
        kspace, images = noise(slices, 2 * SIZE, 33 + 6 * number, number)
        write_volume(folder / TRAIN_FOLDER / f"file{number}.h5", kspace, images, None if number == 1 else number + 1)
    for number in range(4):
        kspace, images = noise(2, 2 * SIZE, 40, 10 + number)
        write_volume(folder / VAL_FOLDER / f"file{number}.h5", kspace, images, 7)
    return folder


@pytest.fixture
def store(tmp_path, raw, monkeypatch) -> Path:
    monkeypatch.setattr(fastmri, "VOLUMES_PER_PART", 2)
    prepare_small(raw, tmp_path / "store")
    return tmp_path / "store"


def read(source, indices, epoch=0, seed=0, *, pool) -> dict[str, np.ndarray]:
    indices = np.asarray(indices)
    return source.read(indices, np.full_like(indices, epoch), slice(None), len(indices), seed, pool)


def test_random_numbers_are_tensorflow_s():
    for seed in ((0, 0), (3, 7)):
        expected = ORACLE["uniform_{}_{}".format(*seed)]
        assert np.array_equal(stateless_uniform(seed, 368), expected)
        assert np.array_equal(stateless_uniform(seed, 321), expected[:321])


def test_a_slice_becomes_the_reference_s_images(tmp_path, pool):
    """The real shape: 640 x 368 and 320 x 320, in the folders as the archives unpack."""
    for name in ("singlecoil_train", "singlecoil_val"):
        (tmp_path / "raw" / name).mkdir(parents=True)
        for number in range(2):
            path = tmp_path / "raw" / name / f"file{number}.h5"
            write_volume(path, ORACLE["kspace"][None], ORACLE["target"][None], 1.5)
    prepare_volumes(tmp_path / "raw", tmp_path / "store", quiet, "fastmri", "Slices.", "the test", 320)
    source = open_split(tmp_path / "store", "validation", 1, {**DATA, "image_size": 320})
    batch = read(source, [0], pool=pool)
    assert all(array.dtype == np.float32 for array in batch.values())
    for key in ("inputs", "targets"):
        np.testing.assert_allclose(batch[key].reshape(-1)[::35], ORACLE[key], atol=1e-4)
    found = [batch["mean"][0], batch["std"][0]]
    np.testing.assert_allclose(found, ORACLE["mean_std"], rtol=1e-5)
    assert batch["volume_max"].tolist() == [1.5]


@given(st.integers(0, 5), st.integers(0, 6), st.integers(0, 3))
def test_transforming_the_columns_first_changes_nothing(more_rows, more_columns, seed):
    kspace = noise(1, SIZE + more_rows, SIZE + more_columns, seed)[0][0]
    sampled = np.random.default_rng(seed).random(SIZE + more_columns) < 0.5
    whole = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace * sampled), norm="ortho"))
    top, left = more_rows // 2, more_columns // 2
    expected = np.abs(whole)[top : top + SIZE, left : left + SIZE]
    found = image(transformed_columns(kspace, SIZE), sampled)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6 * expected.max())


@pytest.mark.parametrize("columns", [320, 322, 368, 372, 400, 453])
def test_masks_keep_the_middle_and_a_quarter_of_all_columns(columns):
    draws = np.random.default_rng(columns).random((2_000, columns))
    sampled = np.array([sampled_columns(row, 0.08, 4) for row in draws])
    always = np.flatnonzero(sampled.all(axis=0))
    center = int(0.08 * columns)
    assert np.array_equal(always, np.arange(center) + (columns - center + 1) // 2)
    assert sampled.mean() == pytest.approx(0.25, abs=0.002)
    others = np.delete(sampled.mean(axis=0), always)
    assert others.max() - others.min() < 0.1


def test_the_splits_are_those_of_the_benchmark(raw, store):
    (raw / VAL_FOLDER / "notes.txt").write_text("no volume")
    manifest = read_manifest(store)
    assert {split: manifest.examples(split) for split in ("train", "validation", "test")} == {
        "train": 15,
        "validation": 4,
        "test": 4,
    }
    for number in range(4, 199):
        (raw / VAL_FOLDER / f"file{number:03}.h5").touch()
    files = fastmri._files_by_split(raw, {})
    val = sorted(path.name for path in (raw / VAL_FOLDER).glob("*.h5"))
    assert [path.name for path in files["validation"]] == val[:100]
    assert [path.name for path in files["test"]] == val[100:]


def test_every_slice_is_read_in_the_order_of_the_files(raw, store, pool):
    source = open_split(store, "eval_train", 15, DATA)
    batch = read(source, np.arange(15), pool=pool)
    of_slice = np.repeat(np.arange(len(SLICES)), SLICES)
    assert batch["volume_max"].tolist() == [(1.0, 0.0, 3.0, 4.0, 5.0)[number] for number in of_slice]
    for number, file in enumerate(sorted((raw / TRAIN_FOLDER).iterdir())):
        with h5py.File(file) as volume:
            kspace, images = volume["kspace"][:], volume["reconstruction_esc"][:]
        sampled = sampled_columns(stateless_uniform((0, 0), kspace.shape[2]), 0.08, 4)
        for place, spectrum, true in zip(np.flatnonzero(of_slice == number), kspace, images, strict=True):
            undersampled = image(transformed_columns(spectrum, SIZE), sampled)
            mean, std = undersampled.mean(), undersampled.std()
            np.testing.assert_allclose(batch["inputs"][place], np.clip((undersampled - mean) / std, -6, 6), rtol=1e-5)
            np.testing.assert_allclose(batch["targets"][place], np.clip((true - mean) / std, -6, 6), rtol=1e-5)
            assert (batch["mean"][place], batch["std"][place]) == (mean, std)


def test_eval_train_is_slices_of_train_that_never_change(store, pool):
    every_third = open_split(store, "eval_train", 5, DATA)
    train_as_evaluated = read(open_split(store, "eval_train", 15, DATA), np.arange(0, 15, 3), pool=pool)
    for epoch, seed in ((0, 0), (4, 9)):
        batch = read(every_third, np.arange(5), epoch, seed, pool=pool)
        assert all(np.array_equal(batch[key], train_as_evaluated[key]) for key in batch)


def test_masks_of_training_are_fresh_in_every_epoch(store, pool):
    source = open_split(store, "train", 15, DATA)
    first = read(source, [3, 4], epoch=0, seed=1, pool=pool)
    again = read(source, [3, 4], epoch=0, seed=1, pool=pool)
    assert all(np.array_equal(first[key], again[key]) for key in first)
    for epoch, seed in ((1, 1), (0, 2)):
        other = read(source, [3, 4], epoch, seed, pool=pool)
        for slice_ in range(2):
            assert not np.allclose(first["inputs"][slice_], other["inputs"][slice_])


def test_a_slice_does_not_depend_on_its_batch(store, pool):
    source = open_split(store, "train", 15, DATA)
    indices = np.random.default_rng(0).integers(15, size=40)
    epochs = np.arange(40) // 20
    together = source.read(indices, epochs, slice(None), 40, 3, pool)
    for rows in (slice(0, 10), slice(10, 40), slice(7, 8), slice(5, 5)):
        alone = source.read(indices, epochs, rows, rows.stop - rows.start, 3, pool)
        assert all(np.array_equal(alone[key], together[key][rows]) for key in together)


KILLED_AFTER_TWO_PARTS = """
import os, signal, sys
from pathlib import Path
from workloads.datasets import fastmri

def progress(what, done, total):
    if done == 2:
        os.kill(os.getpid(), signal.SIGKILL)

raw, store = map(Path, sys.argv[1:])
fastmri.VOLUMES_PER_PART = 1
fastmri.prepare_volumes(raw, store, progress, "fastmri", "Small volumes of noise.", "the test", 32)
"""


def test_a_killed_preparation_goes_on_where_it_stopped(tmp_path, raw, monkeypatch):
    monkeypatch.setattr(fastmri, "VOLUMES_PER_PART", 1)
    store = tmp_path / "store"
    killed = subprocess.run([sys.executable, "-c", KILLED_AFTER_TWO_PARTS, str(raw), str(store)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (store / "manifest.json").exists()
    made = {record.stem: os.stat(store / f"{record.stem}.slices") for record in (store / "parts").glob("*.json")}
    assert 2 <= len(made) < 9
    reported = []
    prepare_small(raw, store, lambda what, done, total: reported.append(done))
    assert reported == list(range(len(made), 10))
    for part, before in made.items():
        after = os.stat(store / f"{part}.slices")
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    prepare_small(raw, tmp_path / "uninterrupted")
    assert read_manifest(store) == read_manifest(tmp_path / "uninterrupted")
    assert verify(store) == []


def with_number(name: str, number: complex):
    """Damages one number in the last slice of a volume."""

    def damage(path: Path) -> None:
        with h5py.File(path, "r+") as volume:
            volume[name][3, 0, 0] = number

    return damage


def without(name: str):
    def damage(path: Path) -> None:
        with h5py.File(path, "r+") as volume:
            del volume[name]

    return damage


def of_type(kspace_type, images_type):
    def damage(path: Path) -> None:
        kspace, images = noise(4, 2 * SIZE, 45, 0)
        write_volume(path, kspace.astype(kspace_type), images.astype(images_type))

    return damage


def of_shape(rows: int, columns: int, images: int):
    def damage(path: Path) -> None:
        write_volume(path, noise(4, rows, columns, 0)[0], noise(images, rows, columns, 0)[1])

    return damage


def blank(path: Path) -> None:
    kspace, images = noise(4, 2 * SIZE, 45, 0)
    kspace[2] = 0
    write_volume(path, kspace, images)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: os.truncate(path, path.stat().st_size // 2), "truncated"),
        (lambda path: path.write_bytes(b"no HDF5 at all"), "signature not found"),
        (without("kspace"), "no dataset kspace"),
        (without("reconstruction_esc"), "no dataset reconstruction_esc"),
        (with_number("kspace", np.nan), "slice 3, counted from 0, has numbers that are not finite"),
        (with_number("kspace", complex(0, np.inf)), "slice 3, counted from 0, has numbers that are not finite"),
        (with_number("reconstruction_esc", np.nan), "slice 3, counted from 0, has numbers that are not finite"),
        (blank, "slice 2, counted from 0, is zero everywhere"),
        (of_type(np.complex128, np.float32), "kspace is complex128"),
        (of_type(np.complex64, np.float64), "reconstruction_esc is float64"),
        (of_shape(SIZE - 1, SIZE, 4), r"of shape \(4, 31, 32\), not complex64 of slices of at least 32 x 32"),
        (of_shape(SIZE, SIZE - 1, 4), r"of shape \(4, 32, 31\), not complex64"),
        (lambda path: write_volume(path, *noise(0, SIZE, SIZE, 0)), r"of shape \(0, 32, 32\), not complex64"),
        (of_shape(SIZE, SIZE, 3), r"of shape \(3, 32, 32\), not float32 of shape \(4, 32, 32\)"),
    ],
)
def test_a_damaged_volume_is_named(tmp_path, raw, damage, reason):
    damage(raw / TRAIN_FOLDER / "file2.h5")
    with pytest.raises(UsageError, match=rf"{TRAIN_FOLDER}/file2.h5 is damaged .*{reason}"):
        prepare_small(raw, tmp_path / "store")
    assert not (tmp_path / "store/manifest.json").exists()
    assert not list((tmp_path / "store").glob(".*.tmp"))


def test_a_split_without_files_is_named(tmp_path, raw):
    for number in range(1, 4):
        (raw / VAL_FOLDER / f"file{number}.h5").unlink()
    with pytest.raises(UsageError, match=r"too few \.h5 files for test"):
        prepare_small(raw, tmp_path / "store")
    (raw / VAL_FOLDER).rename(raw / "elsewhere")
    with pytest.raises(UsageError, match=f"{VAL_FOLDER} is missing"):
        prepare_small(raw, tmp_path / "store")


def test_a_disk_that_is_too_small_is_known_before_it_is_written(tmp_path, raw, monkeypatch):
    monkeypatch.setattr("workloads.datasets.store.shutil.disk_usage", lambda path: type("Usage", (), {"free": 1_000})())
    with pytest.raises(UsageError, match="make room"):
        prepare_small(raw, tmp_path / "store")
    assert not list((tmp_path / "store").glob("*.slices"))


def test_images_of_another_size_are_refused(store):
    with pytest.raises(UsageError, match="not 16 x 16 pixels"):
        open_split(store, "train", 15, {**DATA, "image_size": 16})


def test_it_has_to_be_downloaded_by_hand(tmp_path):
    with pytest.raises(UsageError, match="--source"):
        fetch(tmp_path, None)
    assert fetch(tmp_path / "raw", tmp_path) == tmp_path


def test_archives_are_unpacked_once_and_give_the_store_of_their_folders(tmp_path, raw, store):
    """One is an archive and one a folder; a volume that was there already is not unpacked again."""
    source = tmp_path / "source"
    source.mkdir()
    with tarfile.open(source / f"{TRAIN_FOLDER}.tar.xz", "w:xz") as archive:
        archive.add(raw / TRAIN_FOLDER, "singlecoil_train")
        archive.add(__file__, "singlecoil_train/._file.h5")
    (raw / VAL_FOLDER).rename(source / VAL_FOLDER.removeprefix("knee_"))
    unpacked = fetch(tmp_path / "unpacked", source)
    prepare_small(unpacked, tmp_path / "again")
    assert read_manifest(tmp_path / "again").parts == read_manifest(store).parts
    times = {path: path.stat().st_mtime_ns for path in (unpacked / TRAIN_FOLDER).iterdir()}
    (unpacked / TRAIN_FOLDER / ".unpacked").unlink()
    first = min(times)
    os.truncate(first if first.suffix == ".h5" else sorted(times)[1], 10)
    assert fetch(unpacked, source) == unpacked
    changed = {path for path in (unpacked / TRAIN_FOLDER).iterdir() if path.stat().st_mtime_ns != times[path]}
    assert len(changed) == 2
    prepare_small(unpacked, tmp_path / "once more")
    assert read_manifest(tmp_path / "once more").parts == read_manifest(store).parts


def test_a_cut_archive_is_named(tmp_path, raw):
    archive = tmp_path / "source" / f"{VAL_FOLDER}.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as members:
        members.add(raw / VAL_FOLDER, "singlecoil_val")
    os.truncate(archive, archive.stat().st_size // 2)
    with pytest.raises(UsageError, match=r"knee_singlecoil_val.tar.gz is damaged or cut short"):
        fetch(tmp_path / "unpacked", archive.parent)


def test_a_source_of_other_volumes_is_refused_at_once(tmp_path, raw):
    with pytest.raises(UsageError, match=r"knee_singlecoil_train has \d+ volumes and not 973; is it complete"):
        fastmri.prepare(raw, tmp_path / "store", quiet)
    for path in (raw / VAL_FOLDER).glob("*.h5"):
        without("reconstruction_esc")(path)
    with pytest.raises(UsageError, match="it has no dataset reconstruction_esc, as a test set without labels"):
        prepare_small(raw, tmp_path / "store")
    assert not (tmp_path / "store").exists()


PREPARES = """
import sys
from pathlib import Path
from workloads.datasets.fastmri import prepare_volumes
raw, store, size = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
prepare_volumes(raw, store, lambda *_: None, "fastmri", "Noise.", "the test", size)
"""


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENOLCK, 524])  # NFS, Lustre, GPFS
def test_volumes_are_read_where_the_file_system_has_no_locks(tmp_path, raw, code):
    command = [sys.executable, "-c", PREPARES, raw, tmp_path / "store", str(SIZE)]
    done = subprocess.run(command, env=failing(f"flock {code} 1000 .h5"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert verify(tmp_path / "store") == []
