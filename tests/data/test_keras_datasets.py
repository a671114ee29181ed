"""Keras' data sets, from files of the same layout: cached, downloaded once, checked, and refused by a sentence."""

import http.server
import threading

import numpy as np
import pytest

import distrib
from distrib.data import keras_datasets
from distrib.data.download import sha256


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server of files, in place of Keras'; and a cache folder that is empty."""
    folder, requests = tmp_path / "served", []
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            requests.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(keras_datasets, "ORIGIN", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    yield folder, requests
    server.shutdown()
    thread.join()
    server.server_close()


def put(monkeypatch, folder, name, **arrays):
    np.savez(folder / name, **arrays)
    monkeypatch.setitem(keras_datasets.SHA256, name, sha256(folder / name))


def test_mnist_is_downloaded_once_and_kept_where_keras_keeps_it(tmp_path, monkeypatch, served):
    folder, requests = served
    images, labels = np.arange(24, dtype=np.uint8).reshape(6, 2, 2), np.arange(6, dtype=np.uint8)
    put(
        monkeypatch,
        folder,
        "mnist.npz",
        x_train=images[:4],
        y_train=labels[:4],
        x_test=images[4:],
        y_test=labels[4:],
    )
    for _ in range(2):
        (x_train, _), (_, y_test) = distrib.keras.datasets.mnist.load_data()
        np.testing.assert_array_equal(x_train, images[:4])
        np.testing.assert_array_equal(y_test, labels[4:])
    assert requests == ["/mnist.npz"]
    assert (tmp_path / "keras" / "datasets" / "mnist.npz").is_file()


def test_houses_are_split_as_keras_splits_them(monkeypatch, served):
    x, y = np.arange(1400.0).reshape(700, 2), np.arange(700.0)
    put(monkeypatch, served[0], "california_housing.npz", x=x, y=y)
    order = np.arange(600)
    np.random.RandomState(113).shuffle(order)
    (x_train, y_train), (x_test, _) = distrib.keras.datasets.california_housing.load_data(version="small")
    np.testing.assert_array_equal(y_train, y[order][:480])
    np.testing.assert_array_equal(np.concatenate([x_train, x_test]), x[order])
    with pytest.raises(distrib.ConfigError, match="large or small"):
        distrib.keras.datasets.california_housing.load_data(version="medium")
    with pytest.raises(distrib.ConfigError, match="test_split"):
        distrib.keras.datasets.california_housing.load_data(test_split=1.5)


def test_another_file_is_refused_and_not_kept(tmp_path, served):
    (served[0] / "mnist.npz").write_bytes(b"not an archive")
    with pytest.raises(distrib.DataError, match="SHA-256 mismatch"):
        distrib.datasets.mnist()
    assert list((tmp_path / "keras" / "datasets").iterdir()) == []


def test_without_a_network_the_error_says_where_the_file_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(keras_datasets, "ORIGIN", "http://127.0.0.1:1/")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(distrib.DataError, match=r"datasets from another machine.*digits\(\)"):
        distrib.datasets.mnist()
    assert len(distrib.datasets.digits()[0][0]) == 1437


def test_a_file_with_pickles_is_not_loaded(tmp_path, monkeypatch):
    np.savez(tmp_path / "mnist.npz", x_train=np.array([{}], dtype=object))
    monkeypatch.setitem(keras_datasets.SHA256, "mnist.npz", sha256(tmp_path / "mnist.npz"))
    with pytest.raises(distrib.StorageError, match="cannot be read"):
        distrib.datasets.mnist(str(tmp_path / "mnist.npz"))
