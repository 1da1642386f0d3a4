"""ImageNet: folders or archives of JPEG files -> the images that the reference makes of them."""

import io
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from algoperf.benchmark.facts import UsageError
from tests.conftest import REPOSITORY
from workloads.datasets.imagenet import fetch, open_split, prepare_images
from workloads.datasets.raw.imagenet import ARCHIVES, DEVKIT, FOLDERS, groups
from workloads.datasets.store import read_manifest
from workloads.datasets.transforms.resample import bicubic, centre_crops

DATA = REPOSITORY / "tests/data/datasets"
ORACLE = np.load(DATA / "imagenet.npz")
MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255
STD = np.array([0.229, 0.224, 0.225], np.float32) * 255
WNIDS = ("n01440764", "n01443537", "n01484850")


def pipeline(image_size, rand_augment=0, mixup_alpha=0.0):
    """The `data` of a spec."""
    return {"image_size": image_size, "rand_augment": rand_augment, "mixup_alpha": mixup_alpha}


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def prepare(raw: Path, store: Path, progress) -> None:
    """As of ImageNet, whatever the numbers of classes and images are."""
    prepare_images(groups(raw), store, progress, "imagenet", "Images.", "the test")


def cropped(image: np.ndarray, crop) -> np.ndarray:
    top, left, height, width = crop
    return image[top : top + height, left : left + width]


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    """Three classes of tiles of the photo in ImageNet's folders, of several sizes and in ImageNet's odd formats too."""
    folder = tmp_path_factory.mktemp("raw")
    photo = Image.open(DATA / "photo.JPEG")
    for split, name in FOLDERS.items():
        for label, wnid in enumerate(WNIDS):
            into = folder / name / (str(label) if split == "test" else wnid)
            into.mkdir(parents=True)
            for number in range(4 if split == "train" else 2):
                left, top = 60 * label, 30 * number
                tile = photo.crop((left, top, left + 80 + 40 * number, top + 100))
                mode = ("RGB", "L", "CMYK", "RGB")[number]
                tile.convert(mode).save(into / f"{wnid}_{number}.JPEG", "PNG" if number == 3 else "JPEG")
    (folder / FOLDERS["validation"] / WNIDS[0] / "whole.JPEG").write_bytes((DATA / "photo.JPEG").read_bytes())
    return folder


@pytest.fixture(scope="module")
def store(raw, tmp_path_factory) -> Path:
    store = tmp_path_factory.mktemp("stores") / "imagenet"
    prepare(raw, store, quiet)
    return store


@pytest.fixture(scope="module")
def archives(raw, tmp_path_factory) -> Path:
    """The same images as the archives that ImageNet is given out as."""
    folder = tmp_path_factory.mktemp("archives")
    with tarfile.open(folder / ARCHIVES["train"], "w") as train:
        for wnid in reversed(WNIDS):
            of_class = io.BytesIO()
            with tarfile.open(fileobj=of_class, mode="w") as archive:
                for path in sorted((raw / "train" / wnid).iterdir(), reverse=True):
                    archive.add(path, path.name)
            add(train, f"{wnid}.tar", of_class.getvalue())
    validation = [path for wnid in WNIDS for path in sorted((raw / "val" / wnid).iterdir())]
    with tarfile.open(folder / ARCHIVES["validation"], "w") as archive:
        for number, path in enumerate(validation, 1):
            archive.add(path, f"ILSVRC2012_val_{number:08}.JPEG")
    numbers = {wnid: 200 - label for label, wnid in enumerate(WNIDS)}  # the development kit has numbers of its own
    synsets = [(number, wnid, "what it is") for wnid, number in numbers.items()]
    table = np.array(synsets, [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O")])
    matrix = io.BytesIO()
    scipy.io.savemat(matrix, {"synsets": table[:, None]})
    truth = "".join(f"{numbers[path.parent.name]}\n" for path in validation)
    with tarfile.open(folder / DEVKIT, "w:gz") as devkit:
        add(devkit, "ILSVRC2012_devkit_t12/readme.txt", b"")
        add(devkit, "ILSVRC2012_devkit_t12/data/meta.mat", matrix.getvalue())
        add(devkit, "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", truth.encode())
    with tarfile.open(folder / ARCHIVES["test"], "w:gz") as archive:
        archive.add(raw / FOLDERS["test"], FOLDERS["test"])
    return folder


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def read(source, indices, pool, epoch=0, seed=0) -> dict[str, np.ndarray]:
    indices = np.asarray(indices)
    return source.read(indices, np.full(len(indices), epoch), slice(None), len(indices), seed, pool)


def test_an_evaluation_image_is_the_reference_s(store, pool):
    batch = read(open_split(store, "validation", 7, pipeline(224)), [2], pool)
    assert batch["targets"].tolist() == [0]
    np.testing.assert_allclose(batch["inputs"].reshape(-1)[::5], ORACLE["evaluation"], atol=5e-6)


def test_labels_are_the_order_of_the_wnids(store, pool):
    train = read(open_split(store, "train", 12, pipeline(8)), range(12), pool)
    assert train["targets"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert train["targets"].dtype == np.int32
    test = read(open_split(store, "test", 6, pipeline(8)), range(6), pool)
    assert test["targets"].tolist() == [0, 0, 1, 1, 2, 2]


def test_grey_cmyk_and_png_images_are_read_as_rgb(store, raw, pool):
    source = open_split(store, "eval_train", 12, pipeline(48))
    images = read(source, range(4), pool)["inputs"] * STD + MEAN
    for number, image in enumerate(images):
        pixels = np.asarray(Image.open(raw / "train" / WNIDS[0] / f"{WNIDS[0]}_{number}.JPEG").convert("RGB"))
        (crop,) = centre_crops(np.array([pixels.shape[0]]), np.array([pixels.shape[1]]))
        # Pillow has another inverse DCT than the decoder of JPEGs; for a PNG it is the decoder.
        np.testing.assert_allclose(image, bicubic(cropped(pixels, crop), 48), atol=8 if number < 3 else 1e-3)


def test_augmentation_is_a_function_of_seed_epoch_and_example(store, pool):
    source = open_split(store, "train", 12, pipeline(32))
    one = read(source, [3, 7, 3, 11], pool, epoch=2, seed=5)["inputs"]
    assert np.array_equal(one[0], one[2])
    mixed = source.read(np.array([11, 3, 7]), np.array([2, 1, 2]), slice(None), 3, 5, pool)["inputs"]
    assert np.array_equal(mixed[0], one[3]) and np.array_equal(mixed[2], one[1])
    assert not np.array_equal(mixed[1], one[0])
    assert not np.array_equal(read(source, [3], pool, epoch=2, seed=6)["inputs"][0], one[0])


def test_eval_train_is_spread_over_train_and_not_augmented(store, pool):
    chosen = open_split(store, "eval_train", 6, pipeline(32))
    every = open_split(store, "eval_train", 12, pipeline(32))
    batch = read(chosen, range(6), pool, seed=1)
    assert np.array_equal(batch["inputs"], read(every, range(0, 12, 2), pool, epoch=3)["inputs"])
    assert batch["targets"].tolist() == [0, 0, 1, 1, 2, 2]


def test_a_large_batch_is_the_same_as_many_small_ones(store, pool):
    source = open_split(store, "train", 12, pipeline(64))
    indices = np.arange(480) % 12
    batch = read(source, indices, pool, epoch=1)["inputs"]
    assert np.array_equal(batch[:12], batch[468:])
    assert np.array_equal(batch[5], read(source, [5], pool, epoch=1)["inputs"][0])


def test_mixup_is_the_same_for_one_process_and_for_four(store, pool):
    source = open_split(store, "train", 12, pipeline(32, rand_augment=2, mixup_alpha=0.2))
    indices, epochs = np.array([11, 3, 7, 0, 1, 2, 8, 9]), np.array([2, 2, 2, 3, 3, 3, 3, 3])
    whole = source.read(indices, epochs, slice(None), 8, 5, pool)
    parts = [source.read(indices, epochs, slice(2 * rank, 2 * rank + 2), 2, 5, pool) for rank in range(4)]
    for key, of_all in whole.items():
        assert np.array_equal(np.concatenate([part[key] for part in parts]), of_all)


def test_mixup_mixes_every_image_and_label_with_the_one_before(store, pool):
    indices = [0, 4, 8, 5]
    plain = read(open_split(store, "train", 12, pipeline(32, rand_augment=2)), indices, pool, seed=3)
    mixed = read(open_split(store, "train", 12, pipeline(32, 2, mixup_alpha=0.2)), indices, pool, seed=3)
    one_hot = np.eye(3, dtype=np.float32)[plain["targets"]]
    weight = mixed["targets"][0, 0]
    assert 0 < weight < 1
    assert mixed["targets"].shape == (4, 3) and mixed["targets"].dtype == np.float32
    for mixture, whole in ((mixed["targets"], one_hot), (mixed["inputs"], plain["inputs"])):
        np.testing.assert_allclose(mixture, weight * whole + (1 - weight) * np.roll(whole, 1, axis=0), atol=1e-6)


def test_rand_augment_is_a_function_of_seed_epoch_and_example(store, pool):
    source = open_split(store, "train", 12, pipeline(32, rand_augment=2))
    images = read(source, range(12), pool, epoch=1, seed=3)["inputs"]
    assert np.array_equal(read(source, [7], pool, epoch=1, seed=3)["inputs"][0], images[7])
    plain = read(open_split(store, "train", 12, pipeline(32)), range(12), pool, epoch=1, seed=3)["inputs"]
    assert sum(not np.allclose(image, other, atol=0.02) for image, other in zip(images, plain, strict=True)) > 8


def test_evaluation_knows_neither_rand_augment_nor_mixup(store, pool):
    for split, count in (("validation", 7), ("eval_train", 12)):
        plain = read(open_split(store, split, count, pipeline(32)), range(count), pool)
        other = read(open_split(store, split, count, pipeline(32, 2, 0.2)), range(count), pool)
        assert np.array_equal(plain["inputs"], other["inputs"]) and np.array_equal(plain["targets"], other["targets"])


def raw_copy(raw: Path, folder: Path) -> Path:
    """The raw folders again, whose files may be changed."""
    for path in raw.rglob("*.JPEG"):
        copy = folder / path.relative_to(raw)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize("damage", ["cut", "no image"])
def test_a_damaged_image_is_named_and_can_be_mended(raw, tmp_path, damage):
    folder = raw_copy(raw, tmp_path / "raw")
    path = folder / "val" / WNIDS[1] / f"{WNIDS[1]}_0.JPEG"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"<html>404</html>")
    with pytest.raises(UsageError, match=f"{path.name} is not a whole image"):
        prepare(folder, tmp_path / "store", quiet)
    assert not (tmp_path / "store/manifest.json").exists()
    kept = {record: record.stat().st_mtime_ns for record in (tmp_path / "store/parts").iterdir()}
    path.write_bytes(whole)
    prepare(folder, tmp_path / "store", quiet)
    assert kept == {record: record.stat().st_mtime_ns for record in kept} != {}
    prepare(raw, tmp_path / "undamaged", quiet)
    assert read_manifest(tmp_path / "store").parts == read_manifest(tmp_path / "undamaged").parts


def linked(folder: Path, *sources: Path) -> Path:
    folder.mkdir()
    for source in sources:
        (folder / source.name).symlink_to(source)
    return folder


SPLITS = [("train", 12), ("validation", 7), ("test", 6)]


@pytest.mark.parametrize("from_archives", [("train", "validation", "test"), ("validation",), ("train", "test")])
def test_archives_and_folders_make_the_same_examples(raw, archives, store, pool, tmp_path, from_archives):
    sources = [archives / ARCHIVES[split] for split in from_archives] + [archives / DEVKIT]
    sources += [raw / folder for split, folder in FOLDERS.items() if split not in from_archives]
    prepare(linked(tmp_path / "raw", *sources), tmp_path / "store", quiet)
    for split, count in SPLITS:
        ours = read(open_split(tmp_path / "store", split, count, pipeline(16)), range(count), pool)
        theirs = read(open_split(store, split, count, pipeline(16)), range(count), pool)
        assert np.array_equal(ours["targets"], theirs["targets"])
        assert np.array_equal(ours["inputs"], theirs["inputs"])


@pytest.mark.parametrize("name", [*ARCHIVES.values(), DEVKIT])
def test_an_archive_that_is_cut_short_is_named(archives, tmp_path, name):
    folder = linked(tmp_path / "raw", *archives.iterdir())
    (folder / name).unlink()
    (folder / name).write_bytes((archives / name).read_bytes()[: (archives / name).stat().st_size // 3])
    with pytest.raises(UsageError, match=f"{name} is damaged or cut short"):
        prepare(folder, tmp_path / "store", quiet)


def test_a_damaged_image_in_an_archive_is_named_with_both(archives, tmp_path):
    folder = linked(tmp_path / "raw", *archives.iterdir())
    content = bytearray((archives / ARCHIVES["train"]).read_bytes())
    place = content.index(f"{WNIDS[0]}_1.JPEG".encode()) + tarfile.BLOCKSIZE
    content[place : place + 10] = b"not a JPEG"
    (folder / ARCHIVES["train"]).unlink()
    (folder / ARCHIVES["train"]).write_bytes(content)
    with pytest.raises(UsageError, match=f"{ARCHIVES['train']}/{WNIDS[0]}.tar/{WNIDS[0]}_1.JPEG is not a whole image"):
        prepare(folder, tmp_path / "store", quiet)


def test_a_development_kit_without_its_labels_is_named(archives, tmp_path):
    folder = linked(tmp_path / "raw", *(path for path in archives.iterdir() if path.name != DEVKIT))
    with pytest.raises(UsageError, match=rf"{DEVKIT} is missing"):
        prepare(folder, tmp_path / "store", quiet)
    with tarfile.open(folder / DEVKIT, "w:gz") as devkit:
        add(devkit, "ILSVRC2012_devkit_t12/readme.txt", b"")
    with pytest.raises(UsageError, match=r"holds no meta.mat"):
        prepare(folder, tmp_path / "store", quiet)


@pytest.mark.parametrize(
    ("split", "name", "reason"),
    [
        ("validation", "ILSVRC2012_val_00000008.JPEG", "none of the 7 in"),
        ("validation", "cat.JPEG", "none of the 7 in"),
        ("test", f"{FOLDERS['test']}/3/cat.jpeg", "no number of a class"),
        ("test", f"{FOLDERS['test']}/cat.jpeg", "no number of a class"),
    ],
)
def test_an_image_without_a_label_is_named(archives, tmp_path, split, name, reason):
    folder = linked(tmp_path / "raw", *(path for path in archives.iterdir() if path.name != ARCHIVES[split]))
    with tarfile.open(folder / ARCHIVES[split], "w:gz" if split == "test" else "w") as archive:
        add(archive, name, (DATA / "photo.JPEG").read_bytes())
    with pytest.raises(UsageError, match=f"{ARCHIVES[split]} holds {name}, .*{reason}"):
        prepare(folder, tmp_path / "store", quiet)


def test_a_class_that_is_missing_is_named(raw, tmp_path):
    folder = raw_copy(raw, tmp_path / "raw")
    os.rename(folder / "val" / WNIDS[2], folder / "val/n99999999")
    with pytest.raises(UsageError, match=f"differ in the class {WNIDS[2]}"):
        prepare(folder, tmp_path / "store", quiet)


@pytest.mark.parametrize("split", FOLDERS)
def test_a_split_that_is_missing_is_named(raw, tmp_path, split):
    folder = linked(tmp_path / "raw", *(raw / name for other, name in FOLDERS.items() if other != split))
    with pytest.raises(UsageError, match=f"neither the folder {FOLDERS[split]} nor the archive {ARCHIVES[split]}"):
        prepare(folder, tmp_path / "store", quiet)


def test_it_has_to_be_downloaded_by_hand(tmp_path):
    with pytest.raises(UsageError, match="--source"):
        fetch(tmp_path, None)


def test_another_number_of_classes_or_images_is_refused_at_once(raw):
    counts = {"train": 12, "validation": 7, "test": 6}
    assert len(groups(raw, 3, counts)) == 5
    with pytest.raises(UsageError, match="have 3 classes and not 1,000"):
        groups(raw, 1_000)
    with pytest.raises(UsageError, match="val has 7 images and not 8; is it complete"):
        groups(raw, 3, counts | {"validation": 8})


def test_the_official_test_archive_is_a_plain_one_in_spite_of_its_name(raw, store, tmp_path):
    folder = linked(tmp_path / "raw", raw / FOLDERS["train"], raw / FOLDERS["validation"])
    with tarfile.open(folder / ARCHIVES["test"], "w") as archive:
        archive.add(raw / FOLDERS["test"], FOLDERS["test"])
    prepare(folder, tmp_path / "store", quiet)
    assert read_manifest(tmp_path / "store").parts == read_manifest(store).parts
