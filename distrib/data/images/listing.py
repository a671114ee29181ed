"""The files of a folder, in Keras' order, and the classes that they belong to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from distrib.base.arrays import Array
from distrib.base.console import show
from distrib.base.errors import ConfigError, DataError


class Listing(NamedTuple):
    """Files and their labels.

    Attributes:
        paths: of the files.
        labels: `(files,)` int32; None for none.
        class_names: by label; None for none.
    """

    paths: list[str]
    labels: Array | None
    class_names: list[str] | None

    def part(self, rows: slice) -> Listing:
        """Some of the files."""
        return Listing(self.paths[rows], None if self.labels is None else self.labels[rows], self.class_names)

    def shuffled(self, seed: int) -> Listing:
        """The same files in the order that Keras has for a seed."""
        order = np.arange(len(self.paths))
        np.random.RandomState(seed).shuffle(order)
        labels = None if self.labels is None else self.labels[order]
        return Listing([self.paths[each] for each in order], labels, self.class_names)


def list_directory(
    directory: str | Path,
    labels: Any,
    class_names: Sequence[str] | None,
    endings: tuple[str, ...],
    follow_links: bool,
) -> Listing:
    """The files of a folder.

    Args:
        directory: the folder.
        labels: `"inferred"` where each folder in it is a class; None for none; or one for each file.
        class_names: the folders, in the order of the labels; None for all, sorted.
        endings: of the names of files, in small letters.
        follow_links: whether folders that are links are looked into.

    Raises:
        ConfigError: labels or names of classes that do not fit to what is there.
        DataError: there is no such folder.
    """
    if isinstance(labels, str) and labels == "inferred":
        return _by_class(directory, class_names, endings, follow_links)
    if class_names is not None:
        raise ConfigError(
            "class_names are for labels='inferred': those of other labels are the labels. "
            f"Received: class_names={list(class_names)}, labels={labels if labels is None else 'a list'}."
        )
    folders(directory)
    paths = list(files_in(directory, endings, follow_links))
    if labels is None:
        return Listing(paths, None, None)
    found = np.asarray(labels)
    if found.dtype.kind not in "iu" or found.shape != (len(paths),):
        raise ConfigError(
            f"labels are integers, one for each of the {len(paths)} files in {directory}. "
            f"Received: {found.dtype} of shape {found.shape}."
        )
    return Listing(paths, found.astype(np.int32), [str(each) for each in sorted(set(found.tolist()))])


def _by_class(
    directory: str | Path, class_names: Sequence[str] | None, endings: tuple[str, ...], follow_links: bool
) -> Listing:
    there = [name for name in folders(directory) if not name.startswith(".")]
    names = there if class_names is None else list(class_names)
    if not set(names) <= set(there):
        raise ConfigError(f"class_names are folders in {directory}: {there}. Received: class_names={names}.")
    paths, counts = [], []
    for name in names:
        found = list(files_in(os.path.join(directory, name), endings, follow_links))
        paths += found
        counts.append(len(found))
    return Listing(paths, np.repeat(np.arange(len(names), dtype=np.int32), counts), names)


def folders(directory: str | Path) -> list[str]:
    """The names of the folders in a folder, sorted. Raises `DataError` if it is not there."""
    try:
        return sorted(each.name for each in os.scandir(directory) if each.is_dir())
    except OSError as error:
        raise DataError(f"Expected a folder of images. Received: {directory}: {error.strerror}.") from None


def files_in(directory: str | Path, endings: tuple[str, ...], follow_links: bool) -> Iterator[str]:
    """The paths of the files in a folder and in those in it, folder by folder, sorted.

    Args:
        directory: the folder.
        endings: of the names, in small letters.
        follow_links: whether folders that are links are looked into.
    """
    for folder, _, names in sorted(os.walk(directory, followlinks=follow_links), key=lambda each: each[0]):
        yield from (os.path.join(folder, name) for name in sorted(names) if name.lower().endswith(endings))


def split_for_validation(
    listing: Listing, validation_split: float | None, subset: str | None, verbose: bool
) -> Listing:
    """The files of a subset: the last ones are for validation.

    Args:
        listing: all files.
        validation_split: which share is for validation; None for all files.
        subset: `"training"` or `"validation"`.
        verbose: whether to say how many there are.

    Raises:
        DataError: there are none.
    """
    if validation_split:
        count = len(listing.paths) - int(validation_split * len(listing.paths))
        listing = listing.part(slice(count) if subset == "training" else slice(count, None))
        if verbose:
            show(f"Using {len(listing.paths)} files for {subset}.")
    if not listing.paths:
        raise DataError(
            f"There are no files{f' for {subset}' if subset else ''}: pass another folder or split."
        )
    return listing


def check_split(validation_split: float | None, subset: str | None, shuffle: bool, seed: int | None) -> None:
    """Raise `ConfigError` for arguments of `image_dataset_from_directory` that do not fit to each other."""
    if validation_split and not 0 < validation_split < 1:
        raise ConfigError(
            f"Expected 0 < validation_split < 1. Received: validation_split={validation_split}."
        )
    if subset not in ("training", "validation", "both", None):
        raise ConfigError(
            f"Expected subset to be 'training', 'validation', 'both' or None. Received: subset={subset!r}."
        )
    if bool(validation_split) != bool(subset):
        raise ConfigError(
            "Pass subset and validation_split together, or none of them. "
            f"Received: subset={subset!r}, validation_split={validation_split}."
        )
    if validation_split and shuffle and seed is None:
        raise ConfigError(
            "Pass a seed with validation_split and shuffle=True, the same for both subsets: they must not overlap."
        )
