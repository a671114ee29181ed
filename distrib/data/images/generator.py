"""`ImageDataGenerator`: images changed at random, and brought to a common scale, as in Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from distrib.base.arguments import HasArguments, checked
from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, DataError
from distrib.data.images.changes import Changes
from distrib.data.images.conversion import is_channels_first
from distrib.data.images.flows import ArrayIterator, DirectoryIterator
from distrib.data.images.scale import Scale
from distrib.data.pipeline.iteration import Iteration


class ImageDataGenerator(HasArguments):
    """Images changed at random, and brought to a common scale.

    What is drawn for an image of a `flow` follows from the seed, the epoch and the number of the image. So replicas
    agree, and each changes its own part of every batch only.

    Args:
        featurewise_center: whether the mean of all images, which `fit` finds, is subtracted.
        samplewise_center: whether the mean of each image is subtracted.
        featurewise_std_normalization: whether images are divided by the standard deviation of all.
        samplewise_std_normalization: whether each is divided by its own.
        zca_whitening: False.
        zca_epsilon: not looked at.
        rotation_range: degrees to turn by, to both sides.
        width_shift_range: shift; a fraction below 1, or a number of pixels, or several to choose from.
        height_shift_range: likewise along the other axis.
        brightness_range: smallest and largest factor of the brightness.
        shear_range: degrees.
        zoom_range: smallest and largest factor, or how much it differs from 1.
        channel_shift_range: largest number that is added to all values.
        fill_mode: what is outside of the image: `"nearest"`, `"constant"`, `"reflect"` or `"wrap"`.
        cval: the value there, for `"constant"`.
        horizontal_flip: whether images are mirrored at random, each with a chance of one half.
        vertical_flip: likewise upside down.
        rescale: factor of all values, behind the changes.
        preprocessing_function: takes an image behind the changes, and returns one of the same shape.
        data_format: `"channels_last"`, which is the default, or `"channels_first"`.
        validation_split: which share of the images is for validation: the first ones, as in Keras.
        interpolation_order: 1 for means of four values, 0 for the nearest one.
        dtype: of the images; float32 by default.

    Attributes:
        dtype: as given.
        data_format: as given.
        validation_split: as given.

    Raises:
        ConfigError: an argument out of range, or one that is not supported.
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: Any = 0.0,
        height_shift_range: Any = 0.0,
        brightness_range: Any = None,
        shear_range: float = 0.0,
        zoom_range: Any = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[Any], Any] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: Any = None,
    ) -> None:
        if zca_whitening:
            raise ConfigError("zca_whitening is not supported. Whiten the array before, or leave it out.")
        if validation_split and not 0 < validation_split < 1:
            raise ConfigError(
                f"Expected 0 < validation_split < 1. Received: validation_split={validation_split}."
            )
        self._is_first = is_channels_first(data_format)
        self._changes = Changes(
            self._is_first,
            rotation_range,
            width_shift_range,
            height_shift_range,
            brightness_range,
            shear_range,
            zoom_range,
            channel_shift_range,
            fill_mode,
            cval,
            interpolation_order,
            (horizontal_flip, vertical_flip),
        )
        self.data_format = data_format or "channels_last"
        self.validation_split, self.dtype = validation_split, np.dtype(dtype or "float32")
        self._scale = Scale(
            self.dtype,
            rescale,
            preprocessing_function,
            samplewise_center or samplewise_std_normalization,
            samplewise_std_normalization,
            featurewise_center or featurewise_std_normalization,
            featurewise_std_normalization,
        )
        self._own_draws: np.random.RandomState | None = None

    @property
    def mean(self) -> Array | None:
        """The mean of all images, by channel; None before `fit`."""
        return self._scale.mean

    @property
    def std(self) -> Array | None:
        """Their standard deviation; None before `fit`."""
        return self._scale.std

    @checked
    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        save_to_dir: None = None,
        save_prefix: str = "",
        save_format: str = "png",
        ignore_class_split: bool = False,
        subset: str | None = None,
    ) -> ArrayIterator:
        """Batches of images of an array, for `fit` or for loops without end.

        Args:
            x: `(images, height, width, channels)`; or a pair of it and of other inputs, which stay as they are.
            y: targets, `(images, ...)`; None for none.
            batch_size: images of a batch. In `fit` a batch is that of all replicas together.
            shuffle: whether every epoch has the images in another order.
            sample_weight: `(images,)`; None for none.
            seed: of what is drawn; by default that of `fit`.
            save_to_dir: None: write images with `save_img`.
            save_prefix: not looked at.
            save_format: not looked at.
            ignore_class_split: whether both subsets may have other labels.
            subset: `"training"` or `"validation"`.

        Raises:
            ConfigError: an argument that there is not.
            DataError: arrays that do not fit to each other.
        """
        _refuse_saving(save_to_dir)
        return ArrayIterator(self, x, y, batch_size, shuffle, sample_weight, seed, ignore_class_split, subset)

    @checked
    def flow_from_directory(
        self,
        directory: Any,
        target_size: Any = (256, 256),
        color_mode: str = "rgb",
        classes: Any = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
    ) -> DirectoryIterator:
        """Batches of the images in a folder, which are read when they are used; each replica reads its part.

        Args:
            directory: the folder, in which each folder holds the images of a class.
            target_size: `(height, width)` that they are resized to.
            color_mode: `"rgb"`, `"rgba"` or `"grayscale"`.
            classes: the folders, in the order of their labels; all, sorted, by default.
            class_mode: `"categorical"` for one-hot labels, `"binary"` or `"sparse"` for numbers, `"input"` for the
                images themselves as targets, None for no targets.
            batch_size: images of a batch. In `fit` a batch is that of all replicas together.
            shuffle: whether every epoch has the images in another order.
            seed: of what is drawn; by default that of `fit`.
            save_to_dir: None: write images with `save_img`.
            save_prefix: not looked at.
            save_format: not looked at.
            follow_links: whether folders that are links are looked into.
            subset: `"training"` or `"validation"`.
            interpolation: how they are resized; see `load_img`.
            keep_aspect_ratio: likewise.

        Raises:
            ConfigError: an argument that there is not; Pillow is not installed.
            DataError: the folder is not there, or has no images. While it is read: a file is damaged.
        """
        _refuse_saving(save_to_dir)
        return DirectoryIterator(
            self,
            directory,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            follow_links=follow_links,
            subset=subset,
            interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
        )

    def flow_from_dataframe(self, *args: Any, **kwargs: Any) -> Any:
        """Tables are not supported. Raises `ConfigError`."""
        raise ConfigError(
            "flow_from_dataframe is not supported. Sort the files into folders for flow_from_directory, or read them "
            "in a map: data.Dataset.from_tensor_slices(np.arange(len(table))).map(...).batch(...)."
        )

    @checked
    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Find the mean and the standard deviation that are subtracted and divided by.

        Args:
            x: `(images, height, width, channels)`.
            augment: whether images changed at random are taken.
            rounds: how often each is changed.
            seed: of what is drawn.

        Raises:
            DataError: `x` has other axes.
        """
        images = np.array(x, self.dtype)
        if images.ndim != 4:
            raise DataError(f"fit expects (images, height, width, channels). Received: {images.shape}.")
        if self._scale.rescale:
            images *= self._scale.rescale
        if augment:
            draws = self._draws(seed)
            changed = [
                self.apply_transform(image, self._changes.drawn(image.shape, draws))
                for _ in range(rounds)
                for image in images
            ]
            images = np.stack(changed).astype(self.dtype)
        self._scale.fit(images, (0, 2, 3) if self._is_first else (0, 1, 2))

    def standardize(self, x: Any) -> Array:
        """An image, or several, on the common scale. `x` itself stays.

        Args:
            x: `(height, width, channels)`, or images along a first axis more.
        """
        return self._scale.standardized(x)

    @checked
    def get_random_transform(self, img_shape: Any, seed: int | None = None) -> dict[str, Any]:
        """What is drawn for an image, by Keras' names: with a seed the same numbers as there.

        Args:
            img_shape: of the image.
            seed: by default other numbers at every call.
        """
        return self._changes.drawn(img_shape, self._draws(seed))

    def apply_transform(self, x: Any, transform_parameters: Mapping[str, Any]) -> Array:
        """An image changed as the parameters say.

        Args:
            x: `(height, width, channels)`.
            transform_parameters: as `get_random_transform` returns them; those that are missing change nothing.
        """
        return self._changes.apply(np.asarray(x), transform_parameters)

    @checked
    def random_transform(self, x: Any, seed: int | None = None) -> Array:
        """An image changed at random.

        Args:
            x: `(height, width, channels)`.
            seed: by default other numbers at every call.
        """
        return self.apply_transform(x, self.get_random_transform(np.shape(x), seed))

    def _draws(self, seed: int | None) -> np.random.RandomState:
        if seed is not None:
            return np.random.RandomState(seed)
        if self._own_draws is None:
            self._own_draws = np.random.RandomState(Iteration.default_seed() % (1 << 32))
        return self._own_draws


def _refuse_saving(save_to_dir: object) -> None:
    if save_to_dir is not None:
        raise ConfigError("save_to_dir is not supported. Write images of flow[0] with keras.utils.save_img.")
