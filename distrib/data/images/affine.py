"""Images turned, shifted, sheared and zoomed, and made lighter, with the results of Keras.

Each value of the new image lies at a place of the old one, between four values, of which it is the weighted mean.
What lies outside is filled as SciPy does it for Keras.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array

FILL_MODES = ("nearest", "constant", "reflect", "wrap")
"""Ways to fill what lies outside of the image."""


def matrix_of(theta: float, tx: float, ty: float, shear: float, zx: float, zy: float) -> Array | None:
    """The matrix of a transformation around the point 0, `(3, 3)`; None where nothing changes.

    Args:
        theta: degrees.
        tx: columns.
        ty: rows.
        shear: degrees.
        zx: factor of the columns.
        zy: factor of the rows.
    """
    matrix: Array | None = None
    turn, slant = np.deg2rad(theta), np.deg2rad(shear)
    for is_wanted, values in (
        (theta != 0, [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]),
        (tx != 0 or ty != 0, [[1, 0, tx], [0, 1, ty], [0, 0, 1]]),
        (shear != 0, [[1, -np.sin(slant), 0], [0, np.cos(slant), 0], [0, 0, 1]]),
        (zx != 1 or zy != 1, [[zx, 0, 0], [0, zy, 0], [0, 0, 1]]),
    ):
        if is_wanted:
            matrix = np.array(values) if matrix is None else matrix @ np.array(values)
    return matrix


def transformed(image: Array, matrix: Array, fill_mode: str, cval: float, order: int) -> Array:
    """An image whose value at a place is that of the old one where the matrix takes the place.

    Args:
        image: `(height, width, channels)`.
        matrix: `(3, 3)`, around the middle of the image.
        fill_mode: one of `FILL_MODES`.
        cval: the value outside, for `"constant"`.
        order: 1 for means of four values, 0 for the nearest one.

    Returns:
        The same shape and dtype.
    """
    height, width = image.shape[:2]
    middle = np.array([height / 2 - 0.5, width / 2 - 0.5])
    offset = middle + matrix[:2, 2] - matrix[:2, :2] @ middle
    # Keras takes the first axis of the matrix for the columns, and the second for the rows; the middle, too.
    rows, columns = np.arange(height)[:, np.newaxis], np.arange(width)
    y = matrix[1, 1] * rows + matrix[1, 0] * columns + offset[1]
    x = matrix[0, 1] * rows + matrix[0, 0] * columns + offset[0]
    is_outside = (y < 0) | (y > height - 1) | (x < 0) | (x > width - 1)
    y, x = _inside(y, height, fill_mode), _inside(x, width, fill_mode)
    total: Any = 0.0
    for row, row_weight in _taps(y, height, order):
        for column, column_weight in _taps(x, width, order):
            total = total + image[row, column] * (row_weight * column_weight)[..., np.newaxis]
    if fill_mode == "constant":
        total = np.where(is_outside[..., np.newaxis], cval, total)
    made: Array = total.astype(image.dtype)
    return made


def _inside(at: Array, size: int, fill_mode: str) -> Array:
    """Places outside of an axis where their value is found within it, up to half a step beyond."""
    if size == 1:
        return np.zeros_like(at)
    if fill_mode == "reflect":  # d c b a | a b c d | d c b a
        at = np.mod(at + 0.5, 2 * size)
        return np.where(at > size, 2 * size - at, at) - 0.5
    if fill_mode == "wrap":  # the last value is the first one, as in SciPy
        period = size - 1
        below = at + period * (np.trunc(-at / period) + 1)
        above = at - period * np.trunc(at / period)
        return np.where(at < 0, below, np.where(at > period, above, at))
    return np.clip(at, 0, size - 1)


def _taps(at: Array, size: int, order: int) -> list[tuple[Array, Array]]:
    """The values beside each place, as indices, and their weights."""
    if order == 0:
        return [(np.clip(np.floor(at + 0.5).astype(np.int64), 0, size - 1), np.ones_like(at))]
    before = np.floor(at).astype(np.int64)
    weight = at - before
    return [(np.clip(before, 0, size - 1), 1 - weight), (np.clip(before + 1, 0, size - 1), weight)]


def brightened(image: Array, factor: float) -> Array:
    """An image of which each value is multiplied, in whole numbers from 0 to 255, as Pillow does it.

    Args:
        image: `(height, width, channels)`; the fourth channel of four stays. Values outside of 0 to 255 are scaled
            into this range before, and back behind.
        factor: 1 changes nothing but fractions, which are cut.

    Returns:
        float32.
    """
    low, high = np.min(image), np.max(image)
    is_scaled = bool(low < 0 or high > 255)
    whole = np.asarray(image, np.float32)
    if is_scaled:
        whole = whole - np.min(whole)
        whole = (whole / np.max(whole) if np.max(whole) else whole) * np.float32(255)
    whole = np.trunc(whole)
    made = np.trunc(np.clip(whole * np.float32(factor), 0, 255))
    if image.shape[2] == 4:
        made[..., 3] = whole[..., 3]
    if is_scaled:
        made = made / 255 * (high - low) + low
    result: Array = made.astype(np.float32)
    return result


def with_channels_shifted(image: Array, intensity: float) -> Array:
    """An image with a number added, cut to the range that it had."""
    shifted: Array = np.clip(image + intensity, np.min(image), np.max(image)).astype(image.dtype)
    return shifted
