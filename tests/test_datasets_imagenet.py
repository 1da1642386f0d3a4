"""ImageNet: folders of JPEG files -> the images that the reference makes of them."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from algoperf.spec import UsageError
from algoperf.store import read_manifest
from workloads.datasets import imagenet
from workloads.datasets.augment import uniform
from workloads.datasets.imagenet import FOLDERS, fetch, open_split, prepare
from workloads.datasets.resample import CROP_DRAWS, bicubic, centre_crops, random_crops

DATA = Path(__file__).parent / "data/datasets"
ORACLE = np.load(DATA / "imagenet.npz")
MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255
STD = np.array([0.229, 0.224, 0.225], np.float32) * 255
TRAINING_CROP = (94, 169, 181, 220)  # what random key [1, 2] draws, found by search; the image is then flipped
WNIDS = ("n01440764", "n01443537", "n01484850")


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def normalised(image: np.ndarray) -> np.ndarray:
    """Every fifth number, as the reference's images are kept."""
    return ((image - MEAN) / STD).reshape(-1)[::5]


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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imagenet, "IMAGES_PER_PART", 5)
        prepare(raw, store, quiet)
    return store


def read(source, indices, pool, epoch=0, seed=0) -> dict[str, np.ndarray]:
    indices = np.asarray(indices)
    return source.read(indices, np.full(len(indices), epoch), seed, pool)


def test_crop_and_resize_are_the_reference_s():
    pixels = np.asarray(Image.open(DATA / "photo_fast_dct.png"))
    (crop,) = centre_crops(np.array([pixels.shape[0]]), np.array([pixels.shape[1]]))
    np.testing.assert_allclose(normalised(bicubic(cropped(pixels, crop), 224)), ORACLE["evaluation"], atol=5e-6)
    flipped = bicubic(cropped(pixels, TRAINING_CROP), 224)[:, ::-1]
    np.testing.assert_allclose(normalised(flipped), ORACLE["training"], atol=5e-6)


def test_an_evaluation_image_is_the_reference_s_but_for_the_jpeg_decoder(store, pool):
    """Pillow decodes with the exact inverse DCT and TensorFlow with the fast one: 1.3 grey levels apart (of 255)."""
    validation = open_split(store, "validation", 7, {"image_size": 224})
    batch = read(validation, [2], pool)
    assert batch["targets"].tolist() == [0]
    difference = batch["inputs"].reshape(-1)[::5] - ORACLE["evaluation"]
    assert np.sqrt(np.mean(difference**2)) < 0.025
    assert np.abs(difference).max() < 0.1


def test_labels_are_the_order_of_the_wnids(store, pool):
    train = read(open_split(store, "train", 12, {"image_size": 8}), range(12), pool)
    assert train["targets"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert train["targets"].dtype == np.int32
    test = read(open_split(store, "test", 6, {"image_size": 8}), range(6), pool)
    assert test["targets"].tolist() == [0, 0, 1, 1, 2, 2]


def test_grey_cmyk_and_png_images_are_read_as_rgb(store, raw, pool):
    source = open_split(store, "eval_train", 12, {"image_size": 48})
    images = read(source, range(4), pool)["inputs"] * STD + MEAN
    for number, image in enumerate(images):
        pixels = np.asarray(Image.open(raw / "train" / WNIDS[0] / f"{WNIDS[0]}_{number}.JPEG").convert("RGB"))
        (crop,) = centre_crops(np.array([pixels.shape[0]]), np.array([pixels.shape[1]]))
        np.testing.assert_allclose(image, bicubic(cropped(pixels, crop), 48), atol=1e-3)


def test_augmentation_is_a_function_of_seed_epoch_and_example(store, pool):
    source = open_split(store, "train", 12, {"image_size": 32})
    one = read(source, [3, 7, 3, 11], pool, epoch=2, seed=5)["inputs"]
    assert np.array_equal(one[0], one[2])
    mixed = source.read(np.array([11, 3, 7]), np.array([2, 1, 2]), 5, pool)["inputs"]
    assert np.array_equal(mixed[0], one[3]) and np.array_equal(mixed[2], one[1])
    assert not np.array_equal(mixed[1], one[0])
    assert not np.array_equal(read(source, [3], pool, epoch=2, seed=6)["inputs"][0], one[0])


def test_eval_train_is_spread_over_train_and_not_augmented(store, pool):
    chosen = open_split(store, "eval_train", 6, {"image_size": 32})
    every = open_split(store, "eval_train", 12, {"image_size": 32})
    batch = read(chosen, range(6), pool, seed=1)
    assert np.array_equal(batch["inputs"], read(every, range(0, 12, 2), pool, epoch=3)["inputs"])
    assert batch["targets"].tolist() == [0, 0, 1, 1, 2, 2]


def test_a_large_batch_is_the_same_as_many_small_ones(store, pool):
    source = open_split(store, "train", 12, {"image_size": 64})
    indices = np.arange(480) % 12
    batch = read(source, indices, pool, epoch=1)["inputs"]
    assert np.array_equal(batch[:12], batch[468:])
    assert np.array_equal(batch[5], read(source, [5], pool, epoch=1)["inputs"][0])


sizes = st.integers(1, 2000)


@given(sizes, sizes, st.integers(0, 2**64 - 1))
def test_random_crops_lie_inside_the_image(height, width, seed):
    draws = uniform(seed, np.zeros(50, np.int64), np.arange(50), CROP_DRAWS)
    crops = random_crops(np.full(50, height), np.full(50, width), draws)
    top, left, crop_height, crop_width = crops.T
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + crop_height <= height).all() and (left + crop_width <= width).all()


def test_random_crops_have_the_areas_and_aspects_of_the_reference():
    draws = uniform(0, np.zeros(20_000, np.int64), np.arange(20_000), CROP_DRAWS)
    _, _, height, width = random_crops(np.full(20_000, 375), np.full(20_000, 500), draws).T
    area, aspect = height * width / (375 * 500), width / height
    assert 0.1 <= area.min() < 0.11 and 0.97 < area.max() <= 1
    assert 0.74 < aspect.min() < 0.76 and 1.32 < aspect.max() < 1.35
    # Heights are uniform between those of the least and the largest area, at a uniform aspect.
    aspects = np.linspace(3 / 4, 4 / 3, 1001)
    lowest, highest = np.sqrt(0.08 * 375 * 500 / aspects), np.minimum(375, np.sqrt(375 * 500 / aspects))
    assert abs(height.mean() - ((lowest + highest) / 2).mean()) < 12


def test_where_no_crop_fits_it_is_the_centre():
    """A line of pixels has no part of an aspect between 3/4 and 4/3 that covers a tenth of it."""
    draws = uniform(0, np.zeros(9, np.int64), np.arange(9), CROP_DRAWS)
    heights, widths = np.full(9, 1), np.full(9, 1000)
    assert np.array_equal(random_crops(heights, widths, draws), centre_crops(heights, widths))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_resizing_keeps_a_constant_image(height, width, size):
    image = np.full((height, width, 3), 77, np.uint8)
    np.testing.assert_allclose(bicubic(image, size), 77, rtol=1e-5)


def test_resizing_to_the_same_size_changes_nothing():
    image = np.random.default_rng(0).integers(256, size=(24, 24, 3), dtype=np.uint8)
    assert np.array_equal(bicubic(image, 24), image.astype(np.float32))


def test_uniform_numbers_are_uniform_and_differ_in_every_argument():
    numbers = uniform(0, np.repeat([0, 1], 500), np.tile(np.arange(500), 2), 20)
    assert len(np.unique(numbers)) == 20_000
    counts = np.histogram(numbers, bins=20, range=(0, 1))[0]
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000)
    assert not np.isin(uniform(1, np.array([0]), np.array([0]), 20), numbers).any()


def raw_copy(raw: Path, folder: Path) -> Path:
    """The raw folders again, whose files may be changed."""
    for path in raw.rglob("*.JPEG"):
        copy = folder / path.relative_to(raw)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize("damage", ["cut", "no image"])
def test_a_damaged_image_is_named_and_can_be_mended(raw, tmp_path, monkeypatch, damage):
    monkeypatch.setattr(imagenet, "IMAGES_PER_PART", 2)
    folder = raw_copy(raw, tmp_path / "raw")
    path = folder / "train" / WNIDS[1] / f"{WNIDS[1]}_0.JPEG"
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


def test_a_class_that_is_missing_is_named(raw, tmp_path):
    folder = raw_copy(raw, tmp_path / "raw")
    os.rename(folder / "val" / WNIDS[2], folder / "val/n99999999")
    with pytest.raises(UsageError, match=f"differ in the class {WNIDS[2]}"):
        prepare(folder, tmp_path / "store", quiet)


def test_a_split_that_is_missing_is_named(raw, tmp_path):
    with pytest.raises(UsageError, match=r"train is missing"):
        prepare(tmp_path, tmp_path / "store", quiet)


def test_it_has_to_be_downloaded_by_hand(tmp_path):
    with pytest.raises(UsageError, match="--source"):
        fetch(tmp_path, None)
