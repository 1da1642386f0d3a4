"""RandAugment and mixup against images computed by hand and the definitions of the reference."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from workloads.datasets.transforms import rand_augment
from workloads.datasets.transforms.augment import uniform
from workloads.datasets.transforms.mixup import IMAGES_PER_JOB, beta_weight, mix_images, mix_labels
from workloads.datasets.transforms.rand_augment import DRAWS, NUM_OPERATIONS, PLAIN, SIGNED

PHOTO = np.random.default_rng(0).normal(100, 30, (20, 26, 3)).clip(0, 255).astype(np.uint8)
NUMBERS = np.repeat(np.array([[0, 100, 127], [128, 200, 255]], np.uint8)[..., None], 3, axis=2)


def grey(rows: list[list[int]]) -> np.ndarray:
    """(H, W, 3) from one number a pixel."""
    return np.repeat(np.array(rows, np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("invert", [[255, 155, 128], [127, 55, 0]]),
        ("posterize", [[0, 96, 112], [128, 192, 240]]),
        ("solarize", [[255, 155, 128], [127, 55, 0]]),
        ("solarize_add", [[110, 210, 237], [128, 200, 255]]),
        ("brightness", [[0, 190, 241], [243, 255, 255]]),
        # The grey value is 6 pixels / 256 = 0, so that contrast is brightness here.
        ("contrast", [[0, 190, 241], [243, 255, 255]]),
        ("autocontrast", [[0, 100, 127], [128, 200, 255]]),
        # 6 pixels are too few for 255 steps.
        ("equalize", [[0, 100, 127], [128, 200, 255]]),
    ],
)
def test_an_operation_on_six_pixels(operation, expected):
    assert np.array_equal(getattr(rand_augment, operation)(NUMBERS), grey(expected))


def test_contrast_is_from_a_256th_of_the_number_of_pixels():
    image = np.full((224, 224, 3), 200, np.uint8)
    assert np.unique(rand_augment.contrast(image)).tolist() == [203]  # 196 + 1.9 (200 - 196) = 203.6


def test_color_of_grey_changes_nothing_and_colours_move_from_their_grey():
    assert np.abs(rand_augment.color(NUMBERS).astype(int) - NUMBERS).max() <= 1
    red = np.array([[[200, 100, 50]]], np.uint8)  # grey: 0.2989 * 200 + 0.587 * 100 + 0.114 * 50 = 124.2
    assert rand_augment.color(red).tolist() == [[[255, 78, 0]]]


def test_autocontrast_stretches_every_channel_by_itself():
    image = np.array([[[50, 0, 7], [100, 255, 7], [150, 10, 7]]], np.uint8)
    assert rand_augment.autocontrast(image).tolist() == [[[0, 0, 7], [127, 255, 7], [255, 10, 7]]]


def test_equalize_is_pillow_s():
    """The reference's operation is written after Pillow's."""
    assert np.array_equal(rand_augment.equalize(PHOTO), ImageOps.equalize(Image.fromarray(PHOTO)))


def test_sharpness_leaves_the_border_and_moves_from_the_smoothed_middle():
    image = grey([[10, 10, 10, 10], [10, 88, 10, 10], [10, 10, 10, 10]])
    # Smoothed: (8 * 10 + 5 * 88) // 13 = 40 and (88 + 7 * 10 + 5 * 10) // 13 = 16; from there 1.9 times as far.
    assert np.array_equal(rand_augment.sharpness(image), grey([[10, 10, 10, 10], [10, 131, 4, 10], [10, 10, 10, 10]]))


def test_moves_take_pixels_from_where_they_are_defined(monkeypatch):
    monkeypatch.setattr(rand_augment, "TRANSLATION", 2)
    image = grey([[1, 2, 3], [4, 5, 6]])
    assert np.array_equal(rand_augment.translate_x(image, 1), grey([[3, 128, 128], [6, 128, 128]]))
    assert np.array_equal(rand_augment.translate_x(image, -1), grey([[128, 128, 1], [128, 128, 4]]))
    monkeypatch.setattr(rand_augment, "TRANSLATION", 1)
    assert np.array_equal(rand_augment.translate_y(image, 1), grey([[4, 5, 6], [128, 128, 128]]))
    monkeypatch.setattr(rand_augment, "SHEAR", 1.0)
    assert np.array_equal(rand_augment.shear_x(image, 1), grey([[1, 2, 3], [5, 6, 128]]))
    assert np.array_equal(rand_augment.shear_y(image, -1), grey([[1, 128, 128], [4, 2, 128]]))


def test_a_quarter_turn_is_numpy_s(monkeypatch):
    monkeypatch.setattr(rand_augment, "DEGREES", 90.0)
    square = PHOTO[:20, :20]
    assert np.array_equal(rand_augment.rotate(square, 1), np.rot90(square))
    assert np.array_equal(rand_augment.rotate(square, -1), np.rot90(square, -1))


def test_a_rotation_keeps_the_middle_and_fills_the_corners():
    image = np.full((225, 225, 3), 9, np.uint8)
    image[112, 112] = 250
    for sign in (1, -1):
        rotated = rand_augment.rotate(image, sign)
        assert rotated[112, 112].tolist() == [250] * 3
        assert rotated[0, 0].tolist() == rotated[0, -1].tolist() == rotated[-1, 0].tolist() == [128] * 3


def test_the_nearest_pixel_of_a_half_is_the_one_farther_from_zero():
    assert rand_augment._nearest(np.array([-0.5, -0.4, 0.5, 1.5, 2.4], np.float32)).tolist() == [-1, 0, 1, 2, 2]


def test_cutout_fills_a_square_of_80_pixels_and_less_at_the_border():
    image = np.zeros((224, 224, 3), np.uint8)
    middle = rand_augment.cutout(image, 100.5 / 224, 150.5 / 224)
    assert (middle[60:140, 110:190] == 128).all() and middle.sum() == 80 * 80 * 3 * 128
    corner = rand_augment.cutout(image, 0.0, 0.9999)
    assert (corner[:40, 183:] == 128).all() and corner.sum() == 40 * 41 * 3 * 128


@given(st.integers(0, NUM_OPERATIONS - 1), st.floats(0, 1, exclude_max=True), st.integers(1, 40), st.integers(1, 40))
def test_every_operation_keeps_shape_and_type_and_its_input(which, place, height, width):
    image = np.random.default_rng(0).integers(256, size=(height, width, 3), dtype=np.uint8)
    before = image.copy()
    draws = np.array([(which + 0.5) / NUM_OPERATIONS, place, place, place])
    augmented = rand_augment.rand_augment(image, draws)
    assert augmented.shape == image.shape and augmented.dtype == np.uint8
    assert np.array_equal(image, before)


def test_the_sixteen_operations_are_drawn_evenly(monkeypatch):
    drawn = []
    monkeypatch.setattr(rand_augment, "_operate", lambda image, which, *_: (drawn.append(which), image)[1])
    draws = uniform(0, np.zeros(8_000, np.int64), np.arange(8_000), 2 * DRAWS)
    for of_image in draws:
        rand_augment.rand_augment(NUMBERS, of_image)
    counts = np.bincount(drawn)
    assert len(counts) == NUM_OPERATIONS == len(PLAIN) + len(SIGNED) + 1 == 16
    assert np.abs(counts - 1_000).max() < 5 * np.sqrt(1_000)


def test_the_weights_of_mixup_are_distributed_as_beta():
    weights = np.array([beta_weight(0.2, number) for number in uniform(0, np.zeros(1), np.zeros(1), 4_000)[0]])
    assert abs(weights.mean() - 0.5) < 0.03
    assert abs(weights.var() - 0.25 / 1.4) < 0.01  # of Beta(a, a): 1 / (4 (2 a + 1))


@pytest.mark.parametrize("count", [1, 2, IMAGES_PER_JOB, IMAGES_PER_JOB + 1, 3 * IMAGES_PER_JOB])
def test_every_image_is_mixed_with_the_unmixed_one_before(count):
    images = np.random.default_rng(0).random((count + 1, 4, 4, 3), np.float32)
    expected = np.float32(0.3) * images[1:] + np.float32(0.7) * images[:-1]
    with ThreadPoolExecutor(2) as pool:
        np.testing.assert_allclose(mix_images(images, np.float32(0.3), pool), expected, rtol=1e-6)


def test_labels_are_mixed_as_the_images_are():
    targets = mix_labels(np.array([2, 0, 0, 1]), np.float32(0.75), 3)
    assert targets.tolist() == [[0.75, 0, 0.25], [1, 0, 0], [0.25, 0.75, 0]]
