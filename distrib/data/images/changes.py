"""Changes: how images are changed at random: which numbers are drawn, and what they do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, DataError
from distrib.data.images import affine
from distrib.data.images.conversion import one_of


class Changes:
    """How images are changed at random.

    Args:
        is_first: whether the channels are the first axis of images.
        rotation_range: degrees; see `ImageDataGenerator`, also for what follows.
        width_shift_range: fraction, pixels, or several to choose from.
        height_shift_range: likewise.
        brightness_range: two factors, or None.
        shear_range: degrees.
        zoom_range: two factors, or how much they differ from 1.
        channel_shift_range: largest number that is added.
        fill_mode: what is outside of the image.
        cval: the value there.
        order: 1 or 0.
        flips: whether images are mirrored, and whether they are turned upside down.

    Raises:
        ConfigError: an argument out of range.
    """

    def __init__(
        self,
        is_first: bool,
        rotation_range: float,
        width_shift_range: Any,
        height_shift_range: Any,
        brightness_range: Any,
        shear_range: float,
        zoom_range: Any,
        channel_shift_range: float,
        fill_mode: str,
        cval: float,
        order: int,
        flips: tuple[bool, bool],
    ) -> None:
        one_of(fill_mode=(fill_mode, affine.FILL_MODES), interpolation_order=(order, (0, 1)))
        for name, given in (
            ("width_shift_range", width_shift_range),
            ("height_shift_range", height_shift_range),
        ):
            if np.ndim(given) == 0 and given < 0:
                raise ConfigError(f"Expected {name} >= 0: shifts go to both sides. Received: {name}={given}.")
        self._is_first = is_first
        self._rotation_range, self._shear_range = rotation_range, shear_range
        self._width_shift_range, self._height_shift_range = width_shift_range, height_shift_range
        self._zoom_range: tuple[Any, Any] = (
            _pair("zoom_range", zoom_range) if np.ndim(zoom_range) else (1 - zoom_range, 1 + zoom_range)
        )
        self._brightness_range = (
            None if brightness_range is None else _pair("brightness_range", brightness_range)
        )
        self._channel_shift_range, self._flips = channel_shift_range, flips
        self._fill_mode, self._cval, self._order = fill_mode, cval, order

    def drawn(self, shape: Any, draws: np.random.RandomState) -> dict[str, Any]:
        """Keras' numbers by its names, drawn in its order.

        Args:
            shape: of the image.
            draws: where they come from.
        """
        row_axis, column_axis = (1, 2) if self._is_first else (0, 1)
        theta = draws.uniform(-self._rotation_range, self._rotation_range) if self._rotation_range else 0
        tx = _shift(self._height_shift_range, shape[row_axis], draws)
        ty = _shift(self._width_shift_range, shape[column_axis], draws)
        shear = draws.uniform(-self._shear_range, self._shear_range) if self._shear_range else 0
        zx, zy = (
            (1, 1)
            if self._zoom_range == (1, 1)
            else draws.uniform(self._zoom_range[0], self._zoom_range[1], 2)
        )
        horizontal, vertical = ((draws.random_sample() < 0.5) and is_wanted for is_wanted in self._flips)
        channel_shift = brightness = None
        if self._channel_shift_range:
            channel_shift = draws.uniform(-self._channel_shift_range, self._channel_shift_range)
        if self._brightness_range is not None:
            brightness = draws.uniform(*self._brightness_range)
        return {
            "theta": theta,
            "tx": tx,
            "ty": ty,
            "shear": shear,
            "zx": zx,
            "zy": zy,
            "flip_horizontal": horizontal,
            "flip_vertical": vertical,
            "channel_shift_intensity": channel_shift,
            "brightness": brightness,
        }

    def apply(self, image: Array, given: Mapping[str, Any]) -> Array:
        """An image changed as numbers that were drawn say; those that are missing change nothing.

        Args:
            image: `(height, width, channels)`.
            given: as `drawn` returns them.

        Raises:
            DataError: the image has other axes.
        """
        if image.ndim != 3:
            raise DataError(f"An image has 3 axes. Received: shape {image.shape}.")
        image = image.transpose(1, 2, 0) if self._is_first else image
        theta, tx, ty, shear = (given.get(name, 0) for name in ("theta", "tx", "ty", "shear"))
        matrix = affine.matrix_of(theta, tx, ty, shear, given.get("zx", 1), given.get("zy", 1))
        if matrix is not None:
            image = affine.transformed(image, matrix, self._fill_mode, self._cval, self._order)
        if given.get("channel_shift_intensity") is not None:
            image = affine.with_channels_shifted(image, given["channel_shift_intensity"])
        if given.get("flip_horizontal"):
            image = image[:, ::-1]
        if given.get("flip_vertical"):
            image = image[::-1]
        if given.get("brightness") is not None:
            image = affine.brightened(image, given["brightness"])
        return image.transpose(2, 0, 1) if self._is_first else image


def _shift(given: Any, size: int, draws: np.random.RandomState) -> float:
    """A shift in pixels: of a fraction, of whole pixels up to a number, or one of several."""
    if not (len(given) if np.ndim(given) else given):
        return 0
    if np.ndim(given) == 0 and not isinstance(given, int | np.integer):
        found = draws.uniform(-given, given)
    else:
        found = draws.choice(given)
        found = found * draws.choice([-1, 1])
    return float(found * size if np.max(given) < 1 else found)


def _pair(name: str, given: Any) -> tuple[float, float]:
    if np.ndim(given) != 1 or len(given) != 2:
        raise ConfigError(f"Expected {name} to be two numbers. Received: {name}={given!r}.")
    return float(given[0]), float(given[1])
