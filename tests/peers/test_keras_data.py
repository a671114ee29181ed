"""Beside Keras itself: images, windows of time series and sequences come out as it prepares them."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers.pictures import make_many_kinds

from distrib import keras

PYTHON = Path(os.environ["DISTRIB_PEERS"]) / "keras" / "bin" / "python"
PROGRAM = Path(__file__).parent / "programs" / "keras_prepares_data.py"

pytestmark = pytest.mark.timeout(300)


class Keras:
    """Calls, which are made together in one process of Keras."""

    def __init__(self, folder):
        self._folder, self._calls, self._arrays = folder, [], {"none": np.zeros(0)}

    def ask(self, function, **arguments):
        """Remember a call; returns its name."""
        name = f"call{len(self._calls)}"
        for key, value in arguments.items():
            if isinstance(value, np.ndarray):
                self._arrays[f"{name}_{key}"] = value
                arguments[key] = f"array:{name}_{key}"
        self._calls.append((name, function, arguments))
        return name

    def answers(self):
        """A function that returns the arrays of a call by its name."""
        np.savez(self._folder / "arrays.npz", **self._arrays)
        (self._folder / "calls.json").write_text(json.dumps(self._calls))
        environ = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
        done = subprocess.run(
            [PYTHON, PROGRAM, self._folder], env=environ, capture_output=True, text=True, timeout=280
        )
        assert done.returncode == 0, done.stderr[-3000:]
        out = np.load(self._folder / "out.npz", allow_pickle=False)
        return lambda name: [out[key] for key in out.files if key.split("/")[0] == name]


def joined(dataset):
    batches = [each if isinstance(each, tuple) else (each,) for each in dataset]
    return [np.concatenate([np.asarray(each) for each in parts]) for parts in zip(*batches, strict=True)]


IMAGES = [
    *({"interpolation": each} for each in ("nearest", "bicubic", "lanczos3", "lanczos5")),
    {"color_mode": "grayscale"},
    {"color_mode": "rgba", "label_mode": "categorical"},
    {"crop_to_aspect_ratio": True},
    {"pad_to_aspect_ratio": True},
    {"label_mode": "binary", "class_names": ["b", "a"]},
    {"label_mode": None},
    {"labels": [3, 0, 1, 0, 1, 2, 0]},
    {"data_format": "channels_first"},
    {"image_size": [40, 7], "labels": None},
]


def test_images_of_folders(tmp_path):
    """Every way of resizing that this Keras has; 255 apart is the largest difference that there could be."""
    folder, peer = make_many_kinds(tmp_path / "images"), Keras(tmp_path)
    given = [{"image_size": [16, 24], "batch_size": 2, "shuffle": False, **each} for each in IMAGES]
    names = [peer.ask("images", directory=str(folder), **each) for each in given]
    shuffled = [
        {"seed": 5},
        *({"seed": 5, "validation_split": 0.4, "subset": each} for each in ("training", "validation")),
    ]
    orders = [peer.ask("images", directory=str(folder), batch_size=2, **each) for each in shuffled]
    answer = peer.answers()
    for name, arguments in zip(names, given, strict=True):
        dataset = keras.utils.image_dataset_from_directory(folder, verbose=False, **arguments)
        paths, *arrays = answer(name)
        assert [os.path.relpath(path, folder) for path in dataset.file_paths] == paths.tolist(), arguments
        for mine, theirs in zip(joined(dataset), arrays, strict=True):
            assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape), arguments
            np.testing.assert_allclose(mine, theirs, atol=0.01, err_msg=str(arguments))
    for name, arguments in zip(orders, shuffled, strict=True):
        dataset = keras.utils.image_dataset_from_directory(folder, verbose=False, **arguments)
        assert [os.path.relpath(path, folder) for path in dataset.file_paths] == answer(name)[0].tolist()


def test_load_img(tmp_path):
    folder, peer = make_many_kinds(tmp_path / "images"), Keras(tmp_path)
    given = [
        {"path": str(folder / "b" / "wide.png"), "target_size": size, "interpolation": how, **more}
        for size in ([8, 9], [64, 60])
        for how in ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
        for more in ({}, {"keep_aspect_ratio": True, "color_mode": "grayscale"})
    ]
    names = [peer.ask("loaded", **each) for each in given]
    answer = peer.answers()
    for name, arguments in zip(names, given, strict=True):
        mine = keras.utils.img_to_array(keras.utils.load_img(**arguments))
        np.testing.assert_array_equal(mine, answer(name)[0], str(arguments))


SERIES = [
    {"sequence_length": 4},
    {"sequence_length": 4, "sequence_stride": 3, "sampling_rate": 2, "batch_size": 5},
    {"sequence_length": 3, "start_index": 5, "end_index": 21},
    {"sequence_length": 1, "batch_size": 1},
]
SEQUENCES = [[1, 2, 3], [], [4], [5, 6, 7, 8, 9]]


def test_windows_and_padded_sequences(tmp_path):
    peer, rng = Keras(tmp_path), np.random.default_rng(0)
    data, targets = rng.normal(size=(30, 2)).astype(np.float32), rng.integers(0, 9, 28)
    windows = [{"data": data, "targets": each, **more} for more in SERIES for each in (None, targets)]
    paddings = [
        {"sequences": sequences, "padding": padding, "truncating": truncating, "maxlen": maxlen, "value": 7}
        for sequences in (SEQUENCES, [[[1, 2], [3, 4]], [[5, 6]]])
        for padding in ("pre", "post")
        for truncating in ("pre", "post")
        for maxlen in (None, 2, 8)
    ]
    names = [peer.ask("timeseries", **each) for each in windows]
    padded = [peer.ask("padded", **each) for each in paddings]
    answer = peer.answers()
    for name, arguments in zip(names, windows, strict=True):
        mine, theirs = joined(keras.utils.timeseries_dataset_from_array(**arguments)), answer(name)
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(one, other, str(arguments))
    for name, arguments in zip(padded, paddings, strict=True):
        mine, (theirs,) = keras.utils.pad_sequences(**arguments), answer(name)
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs, str(arguments))
