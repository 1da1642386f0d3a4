"""Crops, the bicubic resize and the random numbers behind them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import REPOSITORY
from workloads.datasets.transforms.augment import uniform
from workloads.datasets.transforms.images import decoded
from workloads.datasets.transforms.resample import CROP_DRAWS, bicubic, centre_crops, random_crops

DATA = REPOSITORY / "tests/data/datasets"
ORACLE = np.load(DATA / "imagenet.npz")
MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255
STD = np.array([0.229, 0.224, 0.225], np.float32) * 255
TRAINING_CROP = (94, 169, 181, 220)  # what random key [1, 2] draws, found by search; the image is then flipped


def normalised(image: np.ndarray) -> np.ndarray:
    """Every fifth number, as the reference's images are kept."""
    return ((image - MEAN) / STD).reshape(-1)[::5]


def cropped(image: np.ndarray, crop) -> np.ndarray:
    top, left, height, width = crop
    return image[top : top + height, left : left + width]


def test_pixels_crop_and_resize_are_the_reference_s():
    pixels = decoded((DATA / "photo.JPEG").read_bytes())
    (crop,) = centre_crops(np.array([pixels.shape[0]]), np.array([pixels.shape[1]]))
    np.testing.assert_allclose(normalised(bicubic(cropped(pixels, crop), 224)), ORACLE["evaluation"], atol=5e-6)
    flipped = bicubic(cropped(pixels, TRAINING_CROP), 224, flip=True)
    np.testing.assert_allclose(normalised(flipped), ORACLE["training"], atol=5e-6)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30))
def test_a_flip_is_a_mirror_image(height, width, size):
    image = np.random.default_rng(0).integers(256, size=(height, width, 3), dtype=np.uint8)
    np.testing.assert_allclose(bicubic(image, size, flip=True), bicubic(image, size)[:, ::-1], atol=1e-3)


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
