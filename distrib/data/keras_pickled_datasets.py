"""The data sets of Keras whose files hold pickled values: pictures of things, and texts as numbers of words."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, DataError
from distrib.base.parse_json import parse_json
from distrib.data.keras_datasets import Split, fetched
from distrib.data.pickled_values import unpickled

_TORONTO = "https://www.cs.toronto.edu/~kriz/"


@checked
def cifar10() -> tuple[Split, Split]:
    """Pictures of ten kinds of things: 60 000 of 32 x 32 x 3 with values 0 to 255.

    Source: A. Krizhevsky, Learning multiple layers of features from tiny images, 2009.

    Returns:
        `((x_train, y_train), (x_test, y_test))`, uint8, 50 000 and 10 000 pictures; labels `(n, 1)`.

    Raises:
        DataError: the file cannot be downloaded, or is another one.
        StorageError: it is damaged.
    """
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    *train, test = _batches("cifar-10-python.tar.gz", "cifar-10-batches-py", names, b"labels")
    x, y = (np.concatenate(parts) for parts in zip(*train, strict=True))
    return (x, y), test


@checked
def cifar100(label_mode: str = "fine") -> tuple[Split, Split]:
    """Pictures of a hundred kinds of things, in twenty groups; see `cifar10`.

    Args:
        label_mode: `"fine"`, 100 labels, or `"coarse"`, 20.

    Raises:
        ConfigError: another mode.
    """
    if label_mode not in ("fine", "coarse"):
        raise ConfigError(f"cifar100 expects label_mode fine or coarse. Received: {label_mode!r}.")
    label = f"{label_mode}_labels".encode()
    train, test = _batches("cifar-100-python.tar.gz", "cifar-100-python", ["train", "test"], label)
    return train, test


def _batches(file_name: str, folder: str, names: Sequence[str], label: bytes) -> list[Split]:
    file, found = fetched(file_name, origin=_TORONTO), []
    try:
        with tarfile.open(file) as archive:
            for name in names:
                member = archive.extractfile(f"{folder}/{name}")
                batch = unpickled(b"" if member is None else member.read(), f"{file}: {name}")
                pictures = batch[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
                found.append(
                    (np.ascontiguousarray(pictures), np.asarray(batch[label], np.uint8).reshape(-1, 1))
                )
    except (tarfile.TarError, OSError, EOFError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {error!r}. Delete it.") from None
    return found


@checked
def imdb(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Split, Split]:
    """Reviews of films, each as numbers of words by their frequency, and whether they are good: 25 000 and 25 000.

    Source: A. Maas et al., Learning word vectors for sentiment analysis, ACL 2011.

    Args:
        path: name in the cache folder, or a file.
        num_words: the most frequent words that are kept; others become `oov_char`.
        skip_top: the most frequent words that are left out likewise.
        maxlen: only reviews that are shorter.
        seed: of the order of the reviews.
        start_char: is put before each; None for nothing.
        oov_char: stands for words that are left out; None to leave them away.
        index_from: is added to the numbers of words.

    Returns:
        `((x_train, y_train), (x_test, y_test))`; `x` are arrays of lists of ints.

    Raises:
        ConfigError: no review is shorter than `maxlen`.
        DataError: the file cannot be downloaded, or is another one.
    """
    arrays = _pickled_npz(path, "imdb.npz")
    options = (start_char, index_from, maxlen)
    rng = np.random.RandomState(seed)
    train = _prepared(arrays["x_train"], arrays["y_train"], rng, *options)
    test = _prepared(arrays["x_test"], arrays["y_test"], rng, *options)
    if not train[0] or not test[0]:
        raise ConfigError(f"imdb: no review is shorter than maxlen={maxlen}. Increase it.")
    texts = _known(train[0] + test[0], num_words, skip_top, oov_char)
    labels, boundary = np.concatenate([train[1], test[1]]), len(train[0])
    return (
        (_ragged(texts[:boundary]), labels[:boundary]),
        (_ragged(texts[boundary:]), labels[boundary:]),
    )


@checked
def reuters(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Split, Split]:
    """News of 1987, each as numbers of words, in 46 topics: 11 228.

    Source: Reuters-21578, in the selection of Keras.

    Args:
        path: see `imdb`, as the others.
        num_words: see `imdb`.
        skip_top: see `imdb`.
        maxlen: see `imdb`.
        test_split: share of the news to test on.
        seed: see `imdb`.
        start_char: see `imdb`.
        oov_char: see `imdb`.
        index_from: see `imdb`.

    Returns:
        `((x_train, y_train), (x_test, y_test))`; `x` are arrays of lists of ints.

    Raises:
        ConfigError: another share.
        DataError: the file cannot be downloaded, or is another one.
    """
    if not 0 <= test_split < 1:
        raise ConfigError(f"Expected test_split in [0, 1). Received: test_split={test_split}.")
    arrays = _pickled_npz(path, "reuters.npz")
    rng = np.random.RandomState(seed)
    texts, labels = _prepared(arrays["x"], arrays["y"], rng, start_char, index_from, maxlen)
    texts = _known(texts, num_words, skip_top, oov_char)
    boundary = int(len(texts) * (1 - test_split))
    return (
        (_ragged(texts[:boundary]), labels[:boundary]),
        (_ragged(texts[boundary:]), labels[boundary:]),
    )


@checked
def imdb_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """The numbers of the words of `imdb`, by frequency from 1; `index_from` is to be added."""
    return _word_index(path, "imdb_word_index.json")


@checked
def reuters_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """The numbers of the words of `reuters`, by frequency from 1; `index_from` is to be added."""
    return _word_index(path, "reuters_word_index.json")


def _word_index(path: str, file_name: str) -> dict[str, int]:
    file = fetched(file_name, path)
    found = parse_json(file.read_bytes())
    return {str(word): int(number) for word, number in found.items()}


def _pickled_npz(path: str, file_name: str) -> dict[str, Array]:
    """The arrays of a `.npz` file; those of objects are pickled."""
    file = fetched(file_name, path)
    found = {}
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.namelist():
                found[member.removesuffix(".npy")] = _npy(archive.read(member), f"{file}: {member}")
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, KeyError) as error:
        raise DataError(f"{file} cannot be read: {error!r}. Delete it.") from None
    return found


def _npy(content: bytes, name: str) -> Array:
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, dtype = read(file)
    if dtype.hasobject:
        return np.asarray(unpickled(content[file.tell() :], name), object)
    file.seek(0)
    return np.asarray(np.load(file, allow_pickle=False))


def _prepared(
    x: Array,
    y: Array,
    rng: np.random.RandomState,
    start_char: int | None,
    index_from: int,
    maxlen: int | None,
) -> tuple[list[list[int]], Array]:
    """Texts in Keras' order, with what is put before and added."""
    order = np.arange(len(x))
    rng.shuffle(order)
    before = [] if start_char is None else [start_char]
    texts, labels = [[*before, *(word + index_from for word in text)] for text in x[order]], y[order]
    if maxlen:
        kept = [index for index, text in enumerate(texts) if len(text) < maxlen]
        texts, labels = [texts[index] for index in kept], labels[kept]
    return texts, labels


def _known(
    texts: list[list[int]], num_words: int | None, skip_top: int, oov_char: int | None
) -> list[list[int]]:
    """Texts without the words that are left out. As in Keras, the largest number is one where `num_words` is None."""
    most = num_words or max(max(text) for text in texts)
    if oov_char is None:
        return [[word for word in text if skip_top <= word < most] for text in texts]
    return [[word if skip_top <= word < most else oov_char for word in text] for text in texts]


def _ragged(texts: list[Any]) -> Array:
    array = np.empty(len(texts), object)
    array[:] = texts
    return array
