"""Crops and the bicubic resize of the benchmark's image pipeline, in NumPy.

Source: AlgoPerf v0.6, ImageNet pipeline of the JAX workloads, whose images set the targets; it calls TensorFlow's
`sample_distorted_bounding_box` and `resize` (bicubic, without antialias, half-pixel centres), followed here.
"""

import functools

import numpy as np
import scipy.sparse

# Keys' cubic convolution (1981) with a = -1/2, which TensorFlow looks up in a table of 1024 steps between two pixels.
_A = -0.5
_STEPS = 1024

_MIN_AREA, _MAX_AREA = 0.08, 1.0
_MIN_ASPECT, _MAX_ASPECT = 3 / 4, 4 / 3
_MIN_COVERED = 0.1  # of the image: a crop of area 0.08 to 0.1 is drawn, and refused
_ATTEMPTS = 10
CROP_DRAWS = 4 * _ATTEMPTS


def _keys_cubic(distance: np.ndarray) -> np.ndarray:
    """The kernel at distances (in pixels, not negative) from a pixel's centre."""
    near = ((_A + 2) * distance - (_A + 3)) * distance * distance + 1
    far = ((_A * distance - 5 * _A) * distance + 8 * _A) * distance - 4 * _A
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))


@functools.lru_cache(maxsize=4096)
def _resize_matrix(size: int, new_size: int) -> scipy.sparse.csr_array:
    """(new_size, size): each new pixel as a mixture of the four nearest old ones, and of fewer at the border."""
    centre = (np.arange(new_size, dtype=np.float32) + np.float32(0.5)) * np.float32(size / new_size) - np.float32(0.5)
    left = np.floor(centre)
    steps = np.array([-1, 0, 1, 2])
    pixels = left.astype(np.int32)[:, None] + steps.astype(np.int32)
    weights = _keys_cubic(np.abs(steps - np.rint((centre - left) * _STEPS)[:, None] / _STEPS))
    weights[(pixels < 0) | (pixels >= size)] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    row_ends = np.arange(new_size + 1, dtype=np.int32) * 4
    rows = (weights.astype(np.float32).ravel(), np.clip(pixels, 0, size - 1).ravel(), row_ends)
    return scipy.sparse.csr_array(rows, shape=(new_size, size))


@functools.lru_cache(maxsize=4096)
def _column_matrix(size: int, new_size: int, channels: int, flip: bool) -> scipy.sparse.csr_array:
    """(new_size * channels, size * channels): `_resize_matrix` for a line of pixels, which may be reversed as well."""
    matrix = _resize_matrix(size, new_size)
    of_pixels = scipy.sparse.kron(matrix[::-1] if flip else matrix, scipy.sparse.eye_array(channels), "csr")
    return scipy.sparse.csr_array(of_pixels, dtype=np.float32)


def bicubic(image: np.ndarray, size: int, *, flip: bool = False) -> np.ndarray:
    """Resizes `image` (H, W, C) to (size, size, C) float32, mirrored left to right if `flip`.

    Values may overshoot the range of the input's. The result is a view, with the columns outermost in memory.
    """
    height, width, channels = image.shape
    rows = _resize_matrix(height, size) @ image.reshape(height, width * channels).astype(np.float32)
    columns = _column_matrix(width, size, channels, flip) @ rows.T
    return columns.T.reshape(size, size, channels)


def centre_crops(heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Evaluation crops (B, 4) as top, left, height, width: the middle square, 7/8 of the short side."""
    side = (224 / 256 * np.minimum(heights, widths)).astype(np.int64)
    return np.stack([(heights - side + 1) // 2, (widths - side + 1) // 2, side, side], axis=1)


def random_crops(heights: np.ndarray, widths: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Training crops (B, 4) as top, left, height, width, from uniform numbers `draws` (B, CROP_DRAWS) in [0, 1).

    The first of ten drawn crops that fits; the centre crop where none does, or where the crop is the whole image.
    """
    aspect, tall, down, right = draws.reshape(len(draws), 4, _ATTEMPTS).transpose(1, 0, 2)
    image_height, image_width = heights[:, None], widths[:, None]
    area = image_height * image_width
    aspect = _MIN_ASPECT + (_MAX_ASPECT - _MIN_ASPECT) * aspect
    lowest = np.rint(np.sqrt(_MIN_AREA * area / aspect))
    highest = np.minimum(np.rint(np.sqrt(_MAX_AREA * area / aspect)), np.floor((image_width + 0.5) / aspect))
    highest = np.minimum(highest, image_height)
    lowest = np.minimum(lowest, highest)
    height = lowest + np.floor(tall * (highest - lowest + 1))
    width = np.rint(height * aspect)
    height += height * width < _MIN_AREA * area
    width = np.rint(height * aspect)
    fits = (height <= image_height) & (width <= image_width) & (width > 0)
    fits &= (height * width >= _MIN_COVERED * area) & (height * width <= _MAX_AREA * area)
    top, left = np.floor(down * (image_height - height)), np.floor(right * (image_width - width))
    drawn = np.stack([top, left, height, width], axis=2).astype(np.int64)
    first = drawn[np.arange(len(drawn)), np.argmax(fits, axis=1)]
    whole = (first[:, 2] == heights) & (first[:, 3] == widths)
    usable = fits.any(axis=1) & ~whole
    return np.where(usable[:, None], first, centre_crops(heights, widths))
