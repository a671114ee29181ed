"""Pickled values are read without running anything, and the data sets that are written so."""

import io
import os
import pickle
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import distrib
from distrib.base.errors import ConfigError, DataError, StorageError
from distrib.data import keras_datasets
from distrib.data.download import sha256
from distrib.data.pickled_values import unpickled

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(PLAIN, st.integers(2, 5))
def test_plain_values(value, protocol):
    assert unpickled(pickle.dumps(value, protocol), "value") == value


ARRAYS = [
    np.arange(12, dtype="u1").reshape(3, 4),
    np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    np.arange(5, dtype=">i4"),
    np.array([True, False]),
    np.array(3.5, np.float32),
    np.zeros((0, 3)),
]


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype} {array.shape}")
def test_arrays(array, protocol):
    found = unpickled(pickle.dumps({"data": array, "more": [array, 1]}, protocol), "arrays")
    for each in (found["data"], found["more"][0]):
        assert each.dtype == array.dtype
        np.testing.assert_array_equal(each, array)
    found["data"][...] = 0  # it is one's own


def test_arrays_of_lists():
    array = np.empty(3, object)
    array[:] = [[1, 300, 70_000], [], [2]]
    found = unpickled(pickle.dumps(array, 4), "lists")
    assert found.dtype == object
    assert found.tolist() == array.tolist()


class Harm:
    """Would run a command."""

    def __reduce__(self):
        return os.system, ("false",)


MARKED = [
    pickle.dumps(Harm()),
    pickle.dumps(np.random.RandomState),
    pickle.dumps(complex(1, 2)),
    pickle.dumps({1, 2}),
    b"\x80\x02cnumpy\nndarray\n.",
    b"\x80\x02cnumpy\ndtype\nU\x02O8\x85R.",
    b"\x80\x02K\x01K\x02.",
    b"\x80\x02(K\x01.",
    b"\x80\x02e.",
    b"\x80\x02h\x07.",
    b"\x80\x02K\x01K\x01a.",
    b"\x80\x02T\xff\xff\xff\x7f.",
    b"",
    b"no pickle",
]


@pytest.mark.parametrize("content", MARKED)
def test_anything_else_is_refused(content):
    with pytest.raises(StorageError, match="more than numbers, text and arrays"):
        unpickled(content, "file")


@given(st.binary(max_size=60), st.integers(0, 200))
def test_damaged_bytes(noise, at):
    content = pickle.dumps({"data": ARRAYS[0], "labels": [1, 2, 3]}, 2)
    for damaged in (content[:at], content[:at] + noise + content[at + len(noise) :], noise):
        try:
            unpickled(damaged, "file")
        except StorageError:
            pass


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    folder = tmp_path / "datasets"
    folder.mkdir()

    def keep(name):
        digests, digest = (
            (keras_datasets.MD5, keras_datasets.md5)
            if name.endswith(".json")
            else (keras_datasets.SHA256, sha256)
        )
        monkeypatch.setitem(digests, name, digest(folder / name))

    return folder, keep


def packed(folder, name, inner, batches):
    with tarfile.open(folder / name, "w:gz") as archive:
        for member, value in batches.items():
            content = pickle.dumps(value, 2)
            info = tarfile.TarInfo(f"{inner}/{member}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_cifar(cache):
    folder, keep = cache
    rng = np.random.default_rng(1)

    def batch(number, labels):
        return {b"data": rng.integers(0, 256, (number, 3072), np.uint8), **labels}

    ten = {f"data_batch_{index}": batch(2, {b"labels": [index, 9]}) for index in range(1, 6)}
    ten["test_batch"] = batch(3, {b"labels": [1, 2, 3]})
    packed(folder, "cifar-10-python.tar.gz", "cifar-10-batches-py", ten)
    keep("cifar-10-python.tar.gz")
    (x_train, y_train), (x_test, y_test) = distrib.keras.datasets.cifar10.load_data()
    assert x_train.shape == (10, 32, 32, 3)
    assert x_train.dtype == y_train.dtype == np.uint8
    assert y_train[:, 0].tolist() == [1, 9, 2, 9, 3, 9, 4, 9, 5, 9]
    assert y_test.tolist() == [[1], [2], [3]]
    # Red, green and blue lie one after the other, each row by row.
    np.testing.assert_array_equal(x_test[1, 4, 7], ten["test_batch"][b"data"][1].reshape(3, 32, 32)[:, 4, 7])
    labels = {b"fine_labels": [7, 8], b"coarse_labels": [1, 2]}
    hundred = {"train": batch(2, labels), "test": batch(2, labels)}
    packed(folder, "cifar-100-python.tar.gz", "cifar-100-python", hundred)
    keep("cifar-100-python.tar.gz")
    assert distrib.datasets.cifar100()[0][1].tolist() == [[7], [8]]
    assert distrib.datasets.cifar100("coarse")[1][1].tolist() == [[1], [2]]
    with pytest.raises(ConfigError, match="fine or coarse"):
        distrib.datasets.cifar100("medium")
    (folder / "cifar-10-python.tar.gz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="SHA-256 mismatch"):
        distrib.datasets.cifar10()
    keep("cifar-10-python.tar.gz")
    with pytest.raises(DataError, match="cannot be read"):
        distrib.datasets.cifar10()


def lists(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


TEXTS = lists([1, 14, 22], [1, 9], [1, 30, 5, 3, 7], [1, 4, 4])

REVIEWS = [
    (
        [[1, 4, 7, 7], [1, 4, 2, 8, 6, 10], [1, 4, 17, 25], [1, 4, 12]],
        [0, 1, 1, 0],
        [[1, 4, 12], [1, 4, 17, 25]],
        [1, 0],
    ),
    ([[7, 7], [12], [17]], [0, 0, 1], [[17], [12]], [0, 1]),
]
NEWS = ([[1, 4, 7, 7], [1, 4, 2, 8, 6, 10], [1, 4, 2, 2]], [6, 5, 3], [[1, 4, 2]], [4])


def test_reviews(cache):
    """The numbers are those of Keras 3.15 with the same file."""
    folder, keep = cache
    arrays = {
        "x_train": TEXTS,
        "y_train": np.array([1, 0, 1, 0]),
        "x_test": TEXTS[:2],
        "y_test": np.array([0, 1]),
    }
    np.savez(folder / "imdb.npz", **arrays)
    keep("imdb.npz")
    (x_train, y_train), (x_test, y_test) = distrib.keras.datasets.imdb.load_data()
    assert x_train.dtype == object
    assert (x_train.tolist(), y_train.tolist(), x_test.tolist(), y_test.tolist()) == REVIEWS[0]
    options = {"num_words": 20, "skip_top": 5, "maxlen": 5, "seed": 3, "start_char": None, "oov_char": None}
    (x_train, y_train), (x_test, y_test) = distrib.datasets.imdb(**options)
    assert (x_train.tolist(), y_train.tolist(), x_test.tolist(), y_test.tolist()) == REVIEWS[1]
    with pytest.raises(ConfigError, match="maxlen=2"):
        distrib.datasets.imdb(maxlen=2)
    (folder / "imdb_word_index.json").write_text('{"the": 1}')
    keep("imdb_word_index.json")
    assert distrib.keras.datasets.imdb.get_word_index() == {"the": 1}


def test_news(cache):
    folder, keep = cache
    np.savez(folder / "reuters.npz", x=TEXTS, y=np.array([3, 4, 5, 6]))
    keep("reuters.npz")
    (x_train, y_train), (x_test, y_test) = distrib.keras.datasets.reuters.load_data(
        num_words=12, test_split=0.25
    )
    assert (x_train.tolist(), y_train.tolist(), x_test.tolist(), y_test.tolist()) == NEWS
    with pytest.raises(ConfigError, match="test_split"):
        distrib.datasets.reuters(test_split=1.0)
