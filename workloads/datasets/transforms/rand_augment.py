"""RandAugment (Cubuk et al. 2019) at magnitude 10, in NumPy: each operation is (H, W, 3) uint8 -> the same.

Source: AlgoPerf v0.6, RandAugment of the JAX ImageNet workloads, whose images set ViT's targets; it is TensorFlow's
AutoAugment code, and its numbers are followed where it differs from the paper's (see `solarize` and `contrast`).
Fractions are cut off, not rounded, as TensorFlow's casts do.
"""

import functools
import math
from typing import TypeAlias

import numpy as np

DRAWS = 4  # uniform numbers for an operation: which one, its sign, and where (two)
FILL = 128  # grey, where an image was moved away from
ENHANCED = 1.9  # how far an enhancement goes, from the degenerate image at 0 through the image at 1
DEGREES, SHEAR, TRANSLATION = 30.0, 0.3, 100
CUTOUT = 40  # half the side of the square that is cut out
ADDITION = 110
GREY = np.array([0.2989, 0.587, 0.114], np.float32)

Affine: TypeAlias = tuple[float, float, float, float, float, float]


def rand_augment(image: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """One operation after the other, drawn evenly from all, for each DRAWS of the uniform numbers `draws`."""
    for which, sign, down, right in draws.reshape(-1, DRAWS).tolist():
        image = _operate(image, int(which * NUM_OPERATIONS), 1 if sign < 0.5 else -1, down, right)
    return image


def blend(degenerate: np.ndarray | float, image: np.ndarray) -> np.ndarray:
    """The point on the way from `degenerate` through the image that is ENHANCED times as far as the image."""
    degenerate = np.asarray(degenerate, np.float32)
    enhanced = image - degenerate
    enhanced *= np.float32(ENHANCED)
    enhanced += degenerate
    return np.clip(enhanced, 0, 255, out=enhanced).astype(np.uint8)


def autocontrast(image: np.ndarray) -> np.ndarray:
    """Stretches each channel to 0 .. 255; one that has a single value stays."""
    height, width, channels = image.shape
    lines = image.reshape(height, width * channels)  # long lines are reduced faster than pixels
    low = lines.min(axis=0).reshape(width, channels).min(axis=0).astype(np.float32)
    high = lines.max(axis=0).reshape(width, channels).max(axis=0).astype(np.float32)
    scale = np.where(high > low, 255 / np.maximum(high - low, 1), 1).astype(np.float32)
    offset = np.where(high > low, -low * scale, 0).astype(np.float32)
    stretched = lines * np.tile(scale, width)
    stretched += np.tile(offset, width)
    return np.clip(stretched, 0, 255, out=stretched).astype(np.uint8).reshape(image.shape)


def equalize(image: np.ndarray) -> np.ndarray:
    """Makes the histogram of each channel as even as it can be; one whose counts are too few stays."""
    equalized = image.copy()
    for channel in range(image.shape[2]):
        values = image[..., channel].copy()
        counts = np.bincount(values.ravel(), minlength=256)
        step = (values.size - counts[np.flatnonzero(counts)[-1]]) // 255
        if step > 0:
            below = np.concatenate([[0], (np.cumsum(counts)[:-1] + step // 2) // step])
            equalized[..., channel] = np.minimum(below, 255).astype(np.uint8).take(values, mode="clip")
    return equalized


def invert(image: np.ndarray) -> np.ndarray:
    return 255 - image


def posterize(image: np.ndarray) -> np.ndarray:
    """Keeps the four high bits."""
    return image & 0xF0


def solarize(image: np.ndarray) -> np.ndarray:
    """Inverts every value: those from the threshold 256 on are meant, but in TensorFlow's uint8 it is 0.

    It is what the reference computes (also reported as issue 110 of google-research/big_vision).
    """
    return invert(image)


def solarize_add(image: np.ndarray) -> np.ndarray:
    """Brightens the values below 128."""
    return image + np.uint8(ADDITION) * (image < 128)


def color(image: np.ndarray) -> np.ndarray:
    """Away from the grey image."""
    grey = np.floor((image.reshape(-1, 3) @ GREY) * np.float32(255.5 / 255))
    return blend(np.repeat(grey, 3).reshape(image.shape), image)


def contrast(image: np.ndarray) -> np.ndarray:
    """Away from one grey value: a 256th of the number of pixels.

    The mean is meant, but the reference sums the histogram without its values.
    """
    height, width, _ = image.shape
    return blend(min(height * width // 256, 255), image)


def brightness(image: np.ndarray) -> np.ndarray:
    """Away from black."""
    return blend(0, image)


def sharpness(image: np.ndarray) -> np.ndarray:
    """Away from the smoothed image: a mean of 3 x 3 pixels in which the middle counts five times. The border stays."""
    wide = image.astype(np.uint16)
    lines = wide[:-2] + wide[1:-1] + wide[2:]
    smooth = lines[:, :-2] + lines[:, 1:-1] + lines[:, 2:]
    smooth += 4 * wide[1:-1, 1:-1]
    smooth //= 13
    sharp = image.copy()
    sharp[1:-1, 1:-1] = blend(smooth, image[1:-1, 1:-1])
    return sharp


def rotate(image: np.ndarray, sign: int) -> np.ndarray:
    """By 30 degrees round the middle."""
    height, width, _ = image.shape
    cosine, sine = math.cos(math.radians(DEGREES)), math.sin(math.radians(sign * DEGREES))
    right = ((width - 1) - (cosine * (width - 1) - sine * (height - 1))) / 2
    down = ((height - 1) - (sine * (width - 1) + cosine * (height - 1))) / 2
    return move(image, (cosine, -sine, right, sine, cosine, down))


def shear_x(image: np.ndarray, sign: int) -> np.ndarray:
    return move(image, (1, sign * SHEAR, 0, 0, 1, 0))


def shear_y(image: np.ndarray, sign: int) -> np.ndarray:
    return move(image, (1, 0, 0, sign * SHEAR, 1, 0))


def translate_x(image: np.ndarray, sign: int) -> np.ndarray:
    return move(image, (1, 0, sign * TRANSLATION, 0, 1, 0))


def translate_y(image: np.ndarray, sign: int) -> np.ndarray:
    return move(image, (1, 0, 0, 0, 1, sign * TRANSLATION))


def move(image: np.ndarray, affine: Affine) -> np.ndarray:
    """The pixel at (x, y) is the nearest to (a x + b y + c, d x + e y + f) of the old image, and FILL outside of it."""
    height, width, channels = image.shape
    pixels = np.empty((height * width + 1, channels), np.uint8)
    pixels[:-1] = image.reshape(-1, channels)
    pixels[-1] = FILL
    return pixels.take(_sources(height, width, affine), axis=0)


@functools.lru_cache(maxsize=16)
def _sources(height: int, width: int, affine: Affine) -> np.ndarray:
    """(height, width): the number of the pixel that each is taken from, or height * width for none."""
    a, b, c, d, e, f = (np.float32(number) for number in affine)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    column, row = _nearest(a * x + b * y + c), _nearest(d * x + e * y + f)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return np.where(inside, row * width + column, height * width)


def _nearest(coordinate: np.ndarray) -> np.ndarray:
    """Halves away from zero, as C rounds."""
    return np.trunc(coordinate + np.copysign(np.float32(0.5), coordinate)).astype(np.intp)


def cutout(image: np.ndarray, down: float, right: float) -> np.ndarray:
    """Fills a square of 80 pixels, less where it reaches over the border; its middle is any pixel."""
    row, column = int(down * image.shape[0]), int(right * image.shape[1])
    cut = image.copy()
    cut[max(0, row - CUTOUT) : row + CUTOUT, max(0, column - CUTOUT) : column + CUTOUT] = FILL
    return cut


PLAIN = (
    *(autocontrast, equalize, invert, posterize, solarize),
    *(solarize_add, color, contrast, brightness, sharpness),
)
SIGNED = (rotate, shear_x, shear_y, translate_x, translate_y)
NUM_OPERATIONS = len(PLAIN) + len(SIGNED) + 1  # cutout


def _operate(image: np.ndarray, which: int, sign: int, down: float, right: float) -> np.ndarray:
    if which < len(PLAIN):
        return PLAIN[which](image)
    if which < len(PLAIN) + len(SIGNED):
        return SIGNED[which - len(PLAIN)](image, sign)
    return cutout(image, down, right)
