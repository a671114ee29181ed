"""Beside Keras itself: images, windows of time series and sequences come out as it prepares them."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers.pictures import make_folder, make_many_kinds, noise

from distrib import keras
from distrib.keras.preprocessing.image import ImageDataGenerator

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


RANGES = [
    {"rotation_range": 30, "horizontal_flip": True},
    {"width_shift_range": 0.3, "height_shift_range": [-2, 1, 3], "vertical_flip": True},
    {"width_shift_range": 4, "zoom_range": 0.4, "shear_range": 20.0},
    {"height_shift_range": 2.5, "zoom_range": [0.5, 2.0], "brightness_range": [0.3, 1.7]},
    {"channel_shift_range": 40.0},
]
PARAMETERS = [
    {"theta": 25.0},
    {"tx": 2.3, "ty": -1.25},
    {"tx": -30, "ty": 11},
    {"shear": 15.0, "zx": 0.7, "zy": 1.6},
    {"theta": -100.0, "tx": 1, "zx": 2.5, "zy": 2.5, "flip_horizontal": True},
    {"flip_vertical": True, "channel_shift_intensity": 50.0},
    {"brightness": 0.45},
    {"brightness": 1.8},
]


def test_images_are_changed_alike(tmp_path):
    """Also where SciPy fills what is outside of the image."""
    peer = Keras(tmp_path)
    seeds = [(arguments, seed) for arguments in RANGES for seed in range(3)]
    drawn = [peer.ask("draws", shape=[12, 9, 3], seed=seed, **arguments) for arguments, seed in seeds]
    image = noise(12, 9, 3).astype(np.float32)
    cases = [
        (image * scale, parameters, {"fill_mode": fill, "cval": 77.0, "interpolation_order": order})
        for parameters in PARAMETERS
        for fill, order, scale in (
            *(("nearest", order, 1) for order in (0, 1)),
            *((fill, 1, 1.5) for fill in ("constant", "reflect", "wrap")),
        )
    ]
    changed = [peer.ask("transformed", x=x, parameters=parameters, **more) for x, parameters, more in cases]
    answer = peer.answers()
    for name, (arguments, seed) in zip(drawn, seeds, strict=True):
        mine = ImageDataGenerator(**arguments).get_random_transform((12, 9, 3), seed)
        mine = [np.nan if each is None else float(each) for each in mine.values()]
        np.testing.assert_array_equal(mine, answer(name), str(arguments))
    for name, (x, parameters, more) in zip(changed, cases, strict=True):
        mine, (theirs,) = ImageDataGenerator(**more).apply_transform(x, parameters), answer(name)
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, atol=2e-3, err_msg=f"{parameters} {more}")


SCALES = [
    {"rescale": 1 / 255},
    {"samplewise_center": True},
    {"samplewise_std_normalization": True, "rescale": 0.1},
    {"featurewise_std_normalization": True, "rescale": 0.5, "fit": True},
    {"featurewise_center": True, "data_format": "channels_first", "fit": True},
]


def test_images_on_a_common_scale_and_flows_of_folders(tmp_path):
    peer, folder = Keras(tmp_path), make_folder(tmp_path / "images")
    x = np.stack([noise(8, 8, 3, seed) for seed in range(7)]).astype(np.float32)
    given = [{"x": x.transpose(0, 3, 1, 2) if "data_format" in each else x, **each} for each in SCALES]
    scaled = [peer.ask("flowed", **each) for each in given]
    flows = [
        ({"rescale": 0.1}, {"target_size": [8, 9], "batch_size": 4}),
        ({"validation_split": 0.4}, {"subset": "training", "class_mode": "sparse"}),
        ({"validation_split": 0.4}, {"subset": "validation", "class_mode": "binary", "color_mode": "rgba"}),
        ({"data_format": "channels_first"}, {"class_mode": "input", "classes": ["dogs", "cats"]}),
        ({}, {"class_mode": None, "interpolation": "bilinear", "color_mode": "grayscale"}),
    ]
    asked = [peer.ask("from_directory", directory=str(folder), generator=one, **two) for one, two in flows]
    answer = peer.answers()
    for name, arguments in zip(scaled, given, strict=True):
        own = dict(arguments)
        images, fit = own.pop("x"), own.pop("fit", False)
        generator = ImageDataGenerator(**own)
        if fit:
            generator.fit(images)
        flow = generator.flow(images, np.arange(7), batch_size=3, shuffle=False)
        for mine, theirs in zip(joined([flow[n] for n in range(3)]), answer(name), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5, err_msg=str(own))
    for name, (arguments, more) in zip(asked, flows, strict=True):
        flow = ImageDataGenerator(**arguments).flow_from_directory(folder, shuffle=False, **more)
        names, classes, *arrays = answer(name)
        assert flow.filenames == names.tolist()
        assert list(flow.class_indices) == classes.tolist()
        for mine, theirs in zip(joined([flow[n] for n in range(len(flow))]), arrays, strict=True):
            assert mine.dtype == theirs.dtype
            np.testing.assert_allclose(mine, theirs, rtol=1e-6, err_msg=str(more))
