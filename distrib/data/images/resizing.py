"""Resizing arrays of images, as Keras does it.

A value of the new image is a weighted sum of values of the old one, along the rows and then along the columns. The
weights are those of a kernel around the middle of the new pixel; it is as wide as some pixels of the old image, also
where the image becomes smaller (Keras resizes without antialiasing). Beyond the border there is nothing, and the
weights that are left are scaled up to the sum of 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, DataError
from distrib.data.images.conversion import is_channels_first, one_of, size_of


def _triangle(x: Array) -> Array:
    weights: Array = np.maximum(0, 1 - np.abs(x))
    return weights


def _keys_cubic(x: Array) -> Array:
    x = np.abs(x)
    outer = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, np.where(x < 2, outer, 0))


def _mitchell_cubic(x: Array) -> Array:
    x = np.abs(x)
    outer = ((-7 / 18 * x + 2) * x - 10 / 3) * x + 16 / 9
    return np.where(x < 1, (7 / 6 * x - 2) * x * x + 8 / 9, np.where(x < 2, outer, 0))


def _gaussian(x: Array) -> Array:
    return np.where(np.abs(x) < 1.5, np.exp(-2 * x * x), 0)


def _lanczos(radius: int) -> Callable[[Array], Array]:
    return lambda x: np.where(np.abs(x) < radius, np.sinc(x) * np.sinc(x / radius), 0)


_KERNELS: dict[str, tuple[Callable[[Array], Array], int]] = {
    "bilinear": (_triangle, 1),
    "bicubic": (_keys_cubic, 2),
    "gaussian": (_gaussian, 2),
    "mitchellcubic": (_mitchell_cubic, 2),
    "lanczos3": (_lanczos(3), 3),
    "lanczos5": (_lanczos(5), 5),
}
"""Kernels, and how many pixels of the old image they reach to each side."""

INTERPOLATIONS = (
    "bilinear",
    "nearest",
    "bicubic",
    "area",
    "lanczos3",
    "lanczos5",
    "gaussian",
    "mitchellcubic",
)
"""Ways of resizing, by Keras' names."""


def resized(image: Array, size: tuple[int, int], interpolation: str) -> Array:
    """An image of another size, `(height, width, channels)` float32.

    Args:
        image: `(height, width, channels)`.
        size: its new height and width.
        interpolation: one of `INTERPOLATIONS`.
    """
    if image.dtype != np.uint8:
        image = image.astype(np.float32)
    for axis in (0, 1):
        if image.shape[axis] != size[axis]:
            image = _along(image, axis, *_taps(image.shape[axis], size[axis], interpolation))
    return image.astype(np.float32, copy=False)


def cropped(image: Array, size: tuple[int, int]) -> Array:
    """The middle of an image, as much as has the ratio of height and width of `size`."""
    height, width = image.shape[:2]
    cut_height = max(min(height, int(width * size[0] / size[1])), 1)
    cut_width = max(min(width, int(height * size[1] / size[0])), 1)
    top, left = (height - cut_height) // 2, (width - cut_width) // 2
    return image[top : top + cut_height, left : left + cut_width]


def padded(image: Array, size: tuple[int, int]) -> Array:
    """An image within a black border, so that it has the ratio of height and width of `size`."""
    height, width = image.shape[:2]
    rows = (max(height, int(width * size[0] / size[1])) - height) // 2
    columns = (max(width, int(height * size[1] / size[0])) - width) // 2
    return np.pad(image, ((rows, rows), (columns, columns), (0, 0)))


@checked
def smart_resize(
    x: Any, size: Any, interpolation: str = "bilinear", data_format: str = "channels_last"
) -> Array:
    """Images of another size, cut in the middle so that nothing is distorted.

    Args:
        x: `(height, width, channels)`, or images of one size along a first axis more.
        size: the new height and width.
        interpolation: one of `"bilinear"`, `"nearest"`, `"bicubic"`, `"area"`, `"lanczos3"`, `"lanczos5"`,
            `"gaussian"`, `"mitchellcubic"`.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        float32 with the axes of `x`.

    Raises:
        ConfigError: an argument that there is not.
        DataError: `x` has other axes.
    """
    one_of(interpolation=(interpolation, INTERPOLATIONS))
    first, wanted, array = is_channels_first(data_format), size_of("size", size), np.asarray(x)
    if array.ndim not in (3, 4):
        raise DataError(f"smart_resize expects images with 3 axes, or 4. Received: {array.shape}.")
    images = array[np.newaxis] if array.ndim == 3 else array
    if first:
        images = images.transpose(0, 2, 3, 1)
    made = np.stack([resized(cropped(each, wanted), wanted, interpolation) for each in images])
    if first:
        made = made.transpose(0, 3, 1, 2)
    return made[0] if array.ndim == 3 else made


def check_aspect(crop_to_aspect_ratio: bool, pad_to_aspect_ratio: bool) -> None:
    """Raise `ConfigError` if both are wanted."""
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ConfigError("Pass crop_to_aspect_ratio or pad_to_aspect_ratio, not both.")


def _taps(num_old: int, num_new: int, interpolation: str) -> tuple[Array, Array]:
    """Which old values each new one is made of, `(new, taps)`, and their weights, float32."""
    scale = num_old / num_new
    if interpolation == "nearest":
        middle = np.floor((np.arange(num_new) + 0.5) * scale).astype(np.int64)
        return np.minimum(middle, num_old - 1)[:, np.newaxis], np.ones((num_new, 1), np.float32)
    if interpolation == "area":
        begin = np.arange(num_new)[:, np.newaxis] * scale
        indices = np.floor(begin).astype(np.int64) + np.arange(math.ceil(scale) + 1)
        weights = np.maximum(0, np.minimum(indices + 1, begin + scale) - np.maximum(indices, begin))
    else:
        kernel, reach = _KERNELS[interpolation]
        middle = ((np.arange(num_new) + 0.5) * scale - 0.5)[:, np.newaxis]
        indices = np.floor(middle).astype(np.int64) + np.arange(1 - reach, 1 + reach)
        weights = kernel(indices - middle)
    weights = np.where((indices < 0) | (indices >= num_old), 0, weights)
    weights = weights / weights.sum(axis=1, keepdims=True)
    return np.clip(indices, 0, num_old - 1), weights.astype(np.float32)


def _along(image: Array, axis: int, indices: Array, weights: Array) -> Array:
    """The weighted sums along an axis."""
    shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
    total: Array | None = None
    for tap in range(indices.shape[1]):
        part = np.take(image, indices[:, tap], axis) * weights[:, tap].reshape(shape)
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None
    return total
