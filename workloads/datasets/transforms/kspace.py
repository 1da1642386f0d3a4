"""From k-space to an image, and which columns of k-space are measured. Source: AlgoPerf v0.6, fastMRI pipeline.

An image is the magnitude of the inverse Fourier transform along both axes, cut to its middle. A mask keeps or drops
whole columns, so the transform of each column may go before it: `transformed_columns` is done once when the data are
prepared, and `image` does the rest whenever a slice is read. Apart from rounding the result is the same.
"""

import numpy as np
import scipy.fft


def transformed_columns(kspace: np.ndarray, image_size: int) -> np.ndarray:
    """Transforms along the columns and keeps the middle rows: (rows, columns) -> (image_size, columns) complex64.

    The columns of the result begin with the frequency zero, as the transform along the rows wants them.
    """
    spectra = scipy.fft.ifftshift(kspace)
    lines = scipy.fft.fftshift(scipy.fft.ifft(spectra, axis=0, norm="ortho"), axes=0)
    top = (len(lines) - image_size) // 2
    return np.ascontiguousarray(lines[top : top + image_size])


def image(transformed: np.ndarray, sampled: np.ndarray) -> np.ndarray:
    """(size, columns) complex64 of `transformed_columns`, (columns,) bool -> (size, size) float32 magnitudes.

    sampled: which columns were measured, in the order of k-space as it is measured: frequency zero in the middle.
    """
    size, columns = transformed.shape
    measured = transformed * scipy.fft.ifftshift(sampled)
    lines = scipy.fft.ifft(measured, axis=1, norm="ortho", overwrite_x=True)
    left = (columns - size) // 2
    return scipy.fft.fftshift(np.abs(lines), axes=1)[:, left : left + size]


def sampled_columns(draws: np.ndarray, center_fraction: float, acceleration: float) -> np.ndarray:
    """(columns,) uniform numbers in [0, 1) -> (columns,) bool: the middle ones, and others drawn by chance.

    On average one column of `acceleration` is measured. In float32, as in the reference, which decides close cases.
    """
    columns = np.float32(len(draws))
    center = int(columns * np.float32(center_fraction))
    chance = (columns / np.float32(acceleration) - np.float32(center)) / (columns - np.float32(center))
    sampled = draws < chance
    first = (len(draws) - center + 1) // 2
    sampled[first : first + center] = True
    return sampled
