"""The data sets of Keras that are plain arrays, from Keras' own files and cache folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, DataError, StorageError
from distrib.data.download import download, md5, sha256

Split = tuple[Array, Array]

ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"

SHA256 = {
    "mnist.npz": "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    "california_housing.npz": "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f",
    "boston_housing.npz": "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5",
    "cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "cifar-100-python.tar.gz": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    "imdb.npz": "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
    "reuters.npz": "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916",
}
MD5 = {
    "imdb_word_index.json": "bfafd718b763782e994055a2d397834f",
    "reuters_word_index.json": "4d44cc38712099c9e383dc6e5f11a921",
}
"""Where Keras has no SHA-256."""


@checked
def mnist(path: str = "mnist.npz") -> tuple[Split, Split]:
    """Handwritten digits: 70 000 images of 28 x 28 with values 0 to 255, ten classes.

    Source: Y. LeCun and C. Cortes, licence CC BY-SA 3.0.

    Args:
        path: name in the cache folder, or a file.

    Returns:
        `((x_train, y_train), (x_test, y_test))`, uint8, 60 000 and 10 000 images.

    Raises:
        DataError: the file is damaged, or cannot be downloaded.
    """
    x_train, y_train, x_test, y_test = _arrays(path, "mnist.npz", ("x_train", "y_train", "x_test", "y_test"))
    return (x_train, y_train), (x_test, y_test)


@checked
def california_housing(
    version: str = "large", path: str = "california_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[Split, Split]:
    """Median house prices of districts of California in 1990, with eight features of each.

    Source: R. K. Pace and R. Barry, Statistics and Probability Letters 33, 1997.

    Args:
        version: `"large"`, 20 640 districts, or `"small"`, the first 600.
        path: see `mnist`.
        test_split: share of the examples to test on.
        seed: of the order of the examples.

    Returns:
        `((x_train, y_train), (x_test, y_test))`; prices in dollars.

    Raises:
        ConfigError: another version or share.
        DataError: see `mnist`.
    """
    if version not in ("large", "small"):
        raise ConfigError(f"california_housing expects version large or small. Received: {version!r}.")
    x, y = _arrays(path, "california_housing.npz", ("x", "y"))
    return (
        _shuffled(x[:600], y[:600], test_split, seed)
        if version == "small"
        else _shuffled(x, y, test_split, seed)
    )


@checked
def boston_housing(
    path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[Split, Split]:
    """Median house prices of districts of Boston in the 1970s. Its features have an ethical problem: see Keras' page.

    Args:
        path: see `mnist`.
        test_split: share of the examples to test on.
        seed: of the order of the examples.

    Returns:
        `((x_train, y_train), (x_test, y_test))`; prices in 1000 dollars.

    Raises:
        ConfigError: another share.
        DataError: see `mnist`.
    """
    x, y = _arrays(path, "boston_housing.npz", ("x", "y"))
    return _shuffled(x, y, test_split, seed)


def _shuffled(x: Array, y: Array, test_split: float, seed: int) -> tuple[Split, Split]:
    """The examples in Keras' order, split."""
    if not 0 <= test_split < 1:
        raise ConfigError(f"Expected test_split in [0, 1). Received: test_split={test_split}.")
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    x, y = x[order], y[order]
    boundary = int(len(x) * (1 - test_split))
    return (x[:boundary], y[:boundary]), (x[boundary:], y[boundary:])


def _arrays(path: str, file_name: str, names: Sequence[str]) -> list[Array]:
    """The arrays of a file that is in the cache, or comes there."""
    file = fetched(file_name, path)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return [np.asarray(arrays[name]) for name in names]
    except (OSError, ValueError, KeyError) as error:
        raise StorageError(f"{file} cannot be read: {error}") from None


def fetched(file_name: str, path: str = "", origin: str = "") -> Path:
    """The file of that name, in the cache, where it is downloaded to if it is not there.

    Args:
        file_name: of Keras.
        path: name in the cache folder, or a file; by default that of Keras.
        origin: where it comes from; by default from Keras.

    Raises:
        DataError: it cannot be downloaded, or is another one.
    """
    file, url = _found(path or file_name), f"{origin or ORIGIN}{file_name}"
    advice = (
        f"Put the file {url} into {file.parent} from another machine, or begin with the digits that "
        "are embedded: distrib.datasets.digits()."
    )

    def verify(candidate: Path) -> None:
        digests = (SHA256, sha256, "SHA-256") if file_name in SHA256 else (MD5, md5, "MD5")
        if digests[1](candidate) != digests[0][file_name]:
            raise DataError(f"{file} is not Keras' {file_name}: {digests[2]} mismatch. Delete it. {advice}")

    if not file.is_file():
        download(url, file, verify, advice)
    verify(file)
    return file


def _found(path: str) -> Path:
    """Where Keras keeps a file of that name: `$KERAS_HOME/datasets`, or `~/.keras/datasets`."""
    if Path(path).is_absolute():
        return Path(path)
    home = os.environ.get("KERAS_HOME")
    try:
        return (Path(home) if home else Path.home() / ".keras") / "datasets" / path
    except RuntimeError:
        raise DataError("There is no home folder to keep data sets in. Set KERAS_HOME to a folder.") from None
