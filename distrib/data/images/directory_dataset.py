"""`image_dataset_from_directory`: files of images as a `Dataset` of batches, which are read when they are used.

Files are elements of a pipeline, so on several replicas each reads its own part of every batch and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.base.console import show
from distrib.base.errors import ConfigError, DataError
from distrib.data.images.conversion import COLOR_MODES, channels_of, is_channels_first, one_of, size_of
from distrib.data.images.listing import Listing, check_split, list_directory, split_for_validation
from distrib.data.images.pillow import pillow
from distrib.data.images.resizing import INTERPOLATIONS, check_aspect, cropped, padded, resized
from distrib.data.pipeline.dataset import Dataset
from distrib.data.pipeline.iteration import AUTOTUNE
from distrib.data.pipeline.options import Options
from distrib.data.pipeline.sources import Stage

_ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_READ_AHEAD = 2


class DirectoryDataset(Dataset):
    """A data set of files. What `map` and its like make of it is a plain `Dataset`.

    Args:
        stage: see `Dataset`.
        options: likewise.
        prefetched: likewise.
        class_names: names of the classes, by label; None for none.
        file_paths: paths of the files.

    Attributes:
        class_names: as given.
        file_paths: as given.
    """

    def __init__(
        self,
        stage: Stage,
        options: Options | None = None,
        prefetched: int = 0,
        class_names: list[str] | None = None,
        file_paths: Sequence[str] = (),
    ) -> None:
        super().__init__(stage, options, prefetched)
        self.class_names, self.file_paths = class_names, list(file_paths)


class _Reader:
    """Reads the image of an element, and makes its label what the loss takes."""

    def __init__(
        self,
        listing: Listing,
        label_mode: str | None,
        color_mode: str,
        size: tuple[int, int],
        interpolation: str,
        crop: bool,
        pad: bool,
        is_first: bool,
    ) -> None:
        self._paths, self._labels, self._label_mode = listing.paths, listing.labels, label_mode
        self._num_classes = len(listing.class_names or ())
        self._color_mode, self._size, self._interpolation = color_mode, size, interpolation
        self._crop, self._pad, self._is_first = crop, pad, is_first

    def __call__(self, index: Array) -> Any:
        image = self._image(self._paths[int(index)])
        if self._labels is None:
            return image
        label = self._labels[int(index)]
        if self._label_mode == "categorical":
            return image, (np.arange(self._num_classes) == label).astype(np.float32)
        if self._label_mode == "binary":
            return image, np.array([label], np.float32)
        return image, label

    def _image(self, path: str) -> Array:
        image = channels_of(path, self._color_mode)
        if self._crop:
            image = cropped(image, self._size)
        if self._pad:
            image = padded(image, self._size)
        image = resized(image, self._size, self._interpolation)
        return image.transpose(2, 0, 1) if self._is_first else image


@checked
def image_dataset_from_directory(
    directory: str | Path,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Any = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """A data set of the images in a folder (`.bmp`, `.gif`, `.jpeg`, `.jpg`, `.png`), in batches.

    Its elements are `(images, labels)`, or `images` without labels. Images are float32 from 0 to 255,
    `(batch, height, width, channels)`; of an animated one it is the first picture. Files are read in threads, when
    they are used, and two batches ahead. In `fit` a batch is that of all replicas together: each reads its part.

    Args:
        directory: the folder.
        labels: `"inferred"` where each folder in it holds the images of a class; None for none; or a list of
            integers, one for each file, in the order of the sorted paths.
        label_mode: `"int"` for int32 `(batch,)`, `"categorical"` for one-hot float32 `(batch, classes)`, `"binary"`
            for float32 `(batch, 1)` of two classes, None for no labels.
        class_names: the folders, in the order of their labels; all, sorted, by default.
        color_mode: `"rgb"`, `"rgba"` or `"grayscale"`: 3, 4 or 1 channels.
        batch_size: images of a batch; None for a data set of single images.
        image_size: `(height, width)` that they are resized to.
        shuffle: whether every pass has the files in another order; otherwise it is that of their paths.
        seed: of the order; by default that of `fit`, which the replicas have agreed on. `file_paths` has Keras' order
            for a seed.
        validation_split: which share of the files, between 0 and 1, is kept for validation.
        subset: `"training"`, `"validation"`, or `"both"` for both data sets in a list.
        interpolation: how they are resized: `"bilinear"`, `"nearest"`, `"bicubic"`, `"area"`, `"lanczos3"`,
            `"lanczos5"`, `"gaussian"` or `"mitchellcubic"`.
        follow_links: whether folders that are links are looked into.
        crop_to_aspect_ratio: whether images are cut in the middle, so that nothing is distorted.
        pad_to_aspect_ratio: whether they get a black border for that.
        data_format: `"channels_last"`, which is the default, or `"channels_first"`.
        format: `"tf"`: there is one kind of data set.
        verbose: whether to print how many files there are.

    Returns:
        A `Dataset` with the attributes `class_names` and `file_paths`; two for `subset="both"`.

    Raises:
        ConfigError: an argument that there is not, or that does not fit to another; Pillow is not installed.
        DataError: the folder is not there, or has no images. While it is read: a file is damaged.
    """
    one_of(
        label_mode=(label_mode, ("int", "categorical", "binary", None)),
        color_mode=(color_mode, COLOR_MODES),
        interpolation=(interpolation.lower(), INTERPOLATIONS),
        format=(format, ("tf",)),
    )
    if not (
        labels is None or labels == "inferred" if isinstance(labels, str | None) else np.ndim(labels) == 1
    ):
        raise ConfigError(
            f"Expected labels='inferred', None, or a list of integers, one for each file. Received: {labels!r}."
        )
    pillow()
    check_aspect(crop_to_aspect_ratio, pad_to_aspect_ratio)
    check_split(validation_split, subset, shuffle, seed)
    listing = list_directory(
        directory, None if label_mode is None else labels, class_names, _ENDINGS, follow_links
    )
    if listing.labels is None:
        label_mode = None
    _check_labels(listing, label_mode)
    if verbose:
        classes = "" if listing.labels is None else f" belonging to {len(listing.class_names or ())} classes"
        show(f"Found {len(listing.paths)} files{classes}.")
    if shuffle and seed is not None:
        listing = listing.shuffled(seed)

    def dataset_of(part: str | None, is_shuffled: bool) -> DirectoryDataset:
        files = split_for_validation(listing, validation_split, part, verbose)
        reader = _Reader(
            files,
            label_mode,
            color_mode,
            size_of("image_size", image_size),
            interpolation.lower(),
            crop_to_aspect_ratio,
            pad_to_aspect_ratio,
            is_channels_first(data_format),
        )
        made = Dataset.from_tensor_slices(np.arange(len(files.paths)))
        if is_shuffled:
            made = made.shuffle(len(files.paths), seed)
        made = made.map(reader, AUTOTUNE)
        if batch_size is not None:
            made = made.batch(batch_size)
        return DirectoryDataset(made.stage, None, _READ_AHEAD, files.class_names, files.paths)

    if subset == "both":
        return [dataset_of("training", shuffle), dataset_of("validation", False)]
    return dataset_of(subset, shuffle)


def _check_labels(listing: Listing, label_mode: str | None) -> None:
    """Raise `DataError` for labels that cannot be encoded."""
    if listing.labels is None or listing.class_names is None:
        return
    count = len(listing.class_names)
    if label_mode == "binary" and count != 2:
        raise DataError(f"label_mode='binary' is for 2 classes. Received: {listing.class_names}.")
    if label_mode == "categorical" and listing.labels.size:
        if listing.labels.min() < 0 or listing.labels.max() >= count:
            raise DataError(
                f"label_mode='categorical' expects labels 0 to {count - 1}. "
                f"Received: {listing.labels.min()} to {listing.labels.max()}."
            )
