"""Scale: images brought to a common scale: factors, means and standard deviations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import DataError, DistribError
from distrib.base.logs import LOGGER


class Scale:
    """How images are brought to a common scale.

    Args:
        dtype: of the images.
        rescale: factor of all values, or None.
        function: applied before, or None.
        centers_each: whether the mean of each image is subtracted.
        divides_each: whether it is divided by its standard deviation.
        centers_all: whether the mean of all images is subtracted.
        divides_all: whether they are divided by the standard deviation of all.

    Attributes:
        rescale: as given.
        mean: of all images, by channel; None before `fit`.
        std: their standard deviation; None before `fit`.
    """

    def __init__(
        self,
        dtype: Any,
        rescale: float | None,
        function: Callable[[Any], Any] | None,
        centers_each: bool,
        divides_each: bool,
        centers_all: bool,
        divides_all: bool,
    ) -> None:
        self._dtype, self.rescale, self._function = dtype, rescale, function
        self._centers_each, self._divides_each = centers_each, divides_each
        self._centers_all, self._divides_all = centers_all, divides_all
        self.mean: Array | None = None
        self.std: Array | None = None
        self._has_warned = False

    def fit(self, images: Array, axes: tuple[int, ...]) -> None:
        """Find mean and standard deviation, as far as they are used.

        Args:
            images: with 4 axes.
            axes: those of the images, rows and columns.
        """
        if self._centers_all:
            self.mean = np.mean(images, axis=axes, keepdims=True)[0]
            images = images - self.mean
        if self._divides_all:
            self.std = np.std(images, axis=axes, keepdims=True)[0]

    def standardized(self, x: Any) -> Array:
        """An image, or several, on the common scale. `x` itself stays.

        Args:
            x: `(height, width, channels)`, or images along a first axis more.

        Raises:
            DataError: the function has failed, or has returned another shape.
        """
        if self._function is not None:
            x = self._preprocessed(x)
        image = np.array(x, self._dtype)
        if self.rescale:
            image *= self.rescale
        if self._centers_each:
            image -= np.mean(image, keepdims=True)
        if self._divides_each:
            image /= np.std(image, keepdims=True) + 1e-6
        for is_wanted, value in ((self._centers_all, self.mean), (self._divides_all, self.std)):
            if is_wanted and value is None and not self._has_warned:
                self._has_warned = True
                LOGGER.warning(
                    "featurewise_center and featurewise_std_normalization have no effect before generator.fit(x)."
                )
        if self._centers_all and self.mean is not None:
            image -= self.mean
        if self._divides_all and self.std is not None:
            image /= self.std + 1e-6
        return image

    def _preprocessed(self, x: Any) -> Any:
        assert self._function is not None
        try:
            made = self._function(x)
        except DistribError:
            raise
        except Exception as error:
            raise DataError(f"preprocessing_function failed: {type(error).__name__}: {error}") from error
        if np.shape(made) != np.shape(x):
            raise DataError(
                f"preprocessing_function returns an image of the same shape, {np.shape(x)}. Received: "
                f"{np.shape(made)}."
            )
        return made
