"""What `ImageDataGenerator.flow` and `flow_from_directory` return: flows of arrays and of files."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.console import show
from distrib.base.errors import ConfigError, DataError
from distrib.data.images.conversion import COLOR_MODES, img_to_array, load_img, one_of, size_of
from distrib.data.images.flow import Flow, Preparing
from distrib.data.images.listing import files_in, folders
from distrib.data.images.pillow import pillow

_ENDINGS = ("png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff")


class ArrayIterator(Flow):
    """Batches of changed images of an array; see `ImageDataGenerator.flow`.

    Args:
        generator: changes the images.
        x: images, or a pair of them and of other inputs.
        y: targets, or None.
        batch_size: images of a batch.
        shuffle: whether every epoch has another order.
        sample_weight: weights, or None.
        seed: of what is drawn.
        ignore_class_split: whether both subsets may have other labels.
        subset: `"training"`, `"validation"` or None.
    """

    def __init__(
        self,
        generator: Preparing,
        x: Any,
        y: Any,
        batch_size: int,
        shuffle: bool,
        sample_weight: Any,
        seed: int | None,
        ignore_class_split: bool,
        subset: str | None,
    ) -> None:
        others: list[Any] = []
        if isinstance(x, tuple | list):
            x, others = x[0], list(x[1]) if isinstance(x[1], list) else [x[1]]
        self.x = np.asarray(x)
        self.y = None if y is None else np.asarray(y)
        self.sample_weight = None if sample_weight is None else np.asarray(sample_weight)
        self._others = [np.asarray(each) for each in others]
        given = [each for each in (self.y, self.sample_weight, *self._others) if each is not None]
        if self.x.ndim != 4 or any(len(each) != len(self.x) for each in given):
            raise DataError(
                "flow expects images (images, height, width, channels), and as many targets, weights and others. "
                f"Received: {[each.shape for each in (self.x, *given)]}."
            )
        if subset is not None:
            self._keep(subset, int(len(self.x) * generator.validation_split), ignore_class_split)
        self.image_shape = self.x.shape[1:]
        super().__init__(generator, len(self.x), batch_size, shuffle, seed)

    def _keep(self, subset: str, border: int, ignore_class_split: bool) -> None:
        one_of(subset=(subset, ("training", "validation")))
        if self.y is not None and not ignore_class_split:
            if not np.array_equal(np.unique(self.y[:border]), np.unique(self.y[border:])):
                raise DataError(
                    "The subsets for training and validation do not have the same labels. Shuffle the arrays, or "
                    "pass ignore_class_split=True."
                )
        rows = slice(border) if subset == "validation" else slice(border, None)
        self.x, self._others = self.x[rows], [each[rows] for each in self._others]
        self.y = None if self.y is None else self.y[rows]
        self.sample_weight = None if self.sample_weight is None else self.sample_weight[rows]

    def _image(self, index: int) -> Array:
        return np.array(self.x[index], self._generator.dtype)

    def _batch(self, images: Array, indices: Array) -> Any:
        x = (images, *(each[indices] for each in self._others)) if self._others else images
        if self.y is None:
            return x
        weights = () if self.sample_weight is None else (self.sample_weight[indices],)
        return (x, self.y[indices], *weights)


class DirectoryIterator(Flow):
    """Batches of changed images of files; see `ImageDataGenerator.flow_from_directory`.

    Args:
        generator: changes the images.
        directory: the folder.
        target_size: height and width.
        color_mode: `"rgb"`, `"rgba"` or `"grayscale"`.
        classes: the folders, or None.
        class_mode: what the targets are.
        batch_size: images of a batch.
        shuffle: whether every epoch has another order.
        seed: of what is drawn.
        follow_links: whether folders that are links are looked into.
        subset: `"training"`, `"validation"` or None.
        interpolation: see `load_img`.
        keep_aspect_ratio: likewise.

    Attributes:
        class_indices: name of a class -> its label.
        num_classes: how many there are.
        filenames: paths within the folder.
        filepaths: paths.
        classes: `(images,)` int32, the labels.
        labels: the same.
        samples: number of images.
        target_size: as given.
        class_mode: as given.
    """

    def __init__(
        self,
        generator: Preparing,
        directory: Any,
        target_size: Any,
        color_mode: str,
        classes: Any,
        class_mode: str | None,
        batch_size: int,
        shuffle: bool,
        seed: int | None,
        follow_links: bool,
        subset: str | None,
        interpolation: str,
        keep_aspect_ratio: bool,
    ) -> None:
        one_of(
            color_mode=(color_mode, COLOR_MODES),
            class_mode=(class_mode, ("categorical", "binary", "sparse", "input", None)),
            subset=(subset, ("training", "validation", None)),
        )
        pillow()
        self.target_size, self.class_mode = size_of("target_size", target_size), class_mode
        there = folders(directory)
        names = list(classes) if classes else there
        if not set(names) <= set(there):
            raise ConfigError(f"classes are folders in {directory}: {there}. Received: classes={names}.")
        self.class_indices = {name: label for label, name in enumerate(names)}
        self.num_classes = len(names)
        self.filenames: list[str] = []
        counts = []
        for name in names:
            found = list(files_in(os.path.join(directory, name), _ENDINGS, follow_links))
            begin, end = 0, len(found)
            if subset is not None:
                border = int(generator.validation_split * len(found))
                begin, end = (0, border) if subset == "validation" else (border, len(found))
            self.filenames += [os.path.relpath(path, directory) for path in found[begin:end]]
            counts.append(end - begin)
        self.filepaths = [os.path.join(directory, name) for name in self.filenames]
        self.classes = self.labels = np.repeat(np.arange(len(names), dtype=np.int32), counts)
        self.samples = len(self.filenames)
        channels = COLOR_MODES[color_mode]
        is_first = generator.data_format == "channels_first"
        self.image_shape = (channels, *self.target_size) if is_first else (*self.target_size, channels)
        self._load = color_mode, self.target_size, interpolation, keep_aspect_ratio
        show(f"Found {self.samples} images belonging to {self.num_classes} classes.")
        super().__init__(generator, self.samples, batch_size, shuffle, seed)
        self.prefetched = 2

    def _image(self, index: int) -> Array:
        image = load_img(self.filepaths[index], *self._load)
        return img_to_array(image, self._generator.data_format, self._generator.dtype)

    def _batch(self, images: Array, indices: Array) -> Any:
        if self.class_mode is None:
            return images
        if self.class_mode == "input":
            return images, images.copy()
        labels, dtype = self.classes[indices], self._generator.dtype
        if self.class_mode == "categorical":
            return images, np.eye(self.num_classes, dtype=dtype)[labels]
        return images, labels.astype(dtype)
