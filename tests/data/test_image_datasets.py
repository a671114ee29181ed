"""Folders of images as data sets: which files, in which order, read by whom, and what is said of damaged ones."""

import collections
import os
import sys
import threading

import numpy as np
import pytest
from helpers.pictures import make_folder, noise, write
from helpers.replicas import difference, in_one_process, on_replicas
from PIL import Image

import distrib
from distrib import keras
from distrib.data.images import directory_dataset
from distrib.data.images.resizing import INTERPOLATIONS, resized

load = keras.utils.image_dataset_from_directory


def names(dataset):
    return [
        f"{os.path.basename(os.path.dirname(path))}/{os.path.basename(path)}" for path in dataset.file_paths
    ]


def test_batches_of_images_and_labels(tmp_path, capsys):
    dataset = load(make_folder(tmp_path), batch_size=4, image_size=(12, 10), shuffle=False)
    assert capsys.readouterr().out == "Found 9 files belonging to 2 classes.\n"
    assert dataset.class_names == ["cats", "dogs"]
    assert names(dataset) == [*(f"cats/{n}.png" for n in range(5)), *(f"dogs/{n}.png" for n in range(4))]
    assert len(dataset) == 3
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    assert [each.shape for each in images] == [(4, 12, 10, 3), (4, 12, 10, 3), (1, 12, 10, 3)]
    assert images[0].dtype == np.float32
    assert labels[0].dtype == np.int32
    assert np.concatenate(labels).tolist() == [0] * 5 + [1] * 4
    np.testing.assert_array_equal(images[0][1], noise(12, 10, 3, seed=1))
    np.testing.assert_array_equal(images[2][0], noise(12, 10, 3, seed=103))
    spec = dataset.element_spec
    assert spec[0].shape == (None, 12, 10, 3)
    assert next(iter(load(tmp_path, labels=None, batch_size=None, image_size=5, verbose=False))).shape == (
        5,
        5,
        3,
    )


def test_the_order_is_another_one_in_every_pass(tmp_path):
    make_folder(tmp_path)
    passes = {}
    for seed in (1, 2, None):
        dataset = load(tmp_path, batch_size=2, image_size=(12, 10), seed=seed, verbose=False)
        again = load(tmp_path, batch_size=2, image_size=(12, 10), seed=seed, verbose=False)
        first, second, repeated = (
            np.concatenate([images[:, 0, 0, 0] for images, _ in each.as_numpy_iterator()])
            for each in (dataset, dataset, again)
        )
        np.testing.assert_array_equal(first, repeated)
        assert sorted(first) == sorted(second)
        passes[seed], passes[str(seed)] = first.tolist(), second.tolist()
    assert len({tuple(each) for each in passes.values()}) == 6


def test_subsets_have_every_file_once(tmp_path, capsys):
    make_folder(tmp_path)
    arguments = {"validation_split": 0.3, "seed": 3, "image_size": (4, 4), "batch_size": 2}
    training, validation = load(tmp_path, subset="both", **arguments)
    assert "Using 7 files for training.\nUsing 2 files for validation.\n" in capsys.readouterr().out
    assert len(training.file_paths) == 7
    assert len(set(training.file_paths) | set(validation.file_paths)) == 9
    for subset, dataset in (("training", training), ("validation", validation)):
        assert load(tmp_path, subset=subset, **arguments).file_paths == dataset.file_paths
    assert validation.class_names == ["cats", "dogs"]
    first, second = (np.concatenate([y for _, y in validation.as_numpy_iterator()]) for _ in range(2))
    assert first.tolist() == second.tolist() == [name.startswith("dogs") for name in names(validation)]


def model_of(strategy):
    layers = distrib.layers
    stack = [layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(2, activation="softmax")]
    model = distrib.Sequential([distrib.Input((12, 10, 3)), *stack], dtype="float64")
    model.compile(distrib.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy", ["accuracy"])
    return model


@pytest.mark.parametrize("seed", [None, 7])
@pytest.mark.parametrize("num_replicas", [2, 3])
def test_replicas_train_what_one_trains_and_each_file_is_read_by_one(
    tmp_path, monkeypatch, num_replicas, seed
):
    make_folder(tmp_path, per_class=(6, 5))  # batches of 4, 4 and 3: each replica has a part of each
    reads, lock = collections.Counter(), threading.Lock()

    def counted(path, color_mode, read=directory_dataset.channels_of):
        with lock:
            reads[os.path.relpath(path, tmp_path)] += 1
        return read(path, color_mode)

    monkeypatch.setattr(directory_dataset, "channels_of", counted)

    def train(strategy):
        arguments = {"image_size": (12, 10), "batch_size": 4, "verbose": False, "seed": seed}
        model = model_of(strategy)
        history = model.fit(load(tmp_path, **arguments), epochs=2, verbose=0)
        return model.get_weights(), history.history

    weights, logs = in_one_process(train)
    assert sorted(reads.values()) == [2] * 10 + [3], "one more, of which shapes are known"
    reads.clear()
    for found, found_logs in on_replicas(num_replicas, train):
        assert difference(found, weights) <= 1e-12
        np.testing.assert_allclose(found_logs["loss"], logs["loss"], rtol=1e-12)
    assert sorted(reads.values()) == [2] * 10 + [2 + num_replicas]


def test_a_damaged_file_is_named(tmp_path):
    make_folder(tmp_path)
    damaged = tmp_path / "dogs" / "2.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    (tmp_path / "cats" / "2.jpg").write_text("no image")
    dataset = load(tmp_path, batch_size=2, shuffle=False, verbose=False, image_size=8)
    with pytest.raises(
        distrib.DataError, match=r"cats/2\.jpg cannot be read as an image.*Repair it or remove"
    ):
        list(dataset)
    (tmp_path / "cats" / "2.jpg").unlink()
    for body in (in_one_process, lambda train: on_replicas(2, train)):
        with pytest.raises(distrib.DataError, match=r"dogs/2\.png cannot be read"):
            body(
                lambda strategy: model_of(strategy).fit(
                    load(tmp_path, image_size=(12, 10), shuffle=False, verbose=False), verbose=0
                )
            )
    damaged.unlink()
    with pytest.raises(distrib.DataError, match=r"dogs/2\.png is not there"):
        list(load(tmp_path, verbose=False).map(lambda x, y: keras.utils.load_img(damaged)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"label_mode": "one_hot"}, "label_mode to be one of 'int', 'categorical', 'binary', None"),
        ({"color_mode": "bgr"}, "'grayscale', 'rgb', 'rgba'"),
        ({"interpolation": "cubic"}, "'bicubic'"),
        ({"image_size": (3, 0)}, r"image_size=\(height, width\)"),
        ({"labels": "infer"}, "labels='inferred', None, or a list"),
        ({"labels": [0, 1]}, "one for each of the 9 files"),
        ({"labels": [0.5] * 9}, "labels are integers"),
        ({"labels": [5] * 9, "label_mode": "categorical"}, "labels 0 to 0"),
        ({"class_names": ["cats", "birds"]}, "class_names are folders in .*birds"),
        ({"class_names": ["cats"], "labels": None}, "class_names are for labels='inferred'"),
        ({"class_names": ["cats"], "label_mode": "binary"}, "2 classes"),
        ({"validation_split": 0.2}, "subset and validation_split together"),
        ({"validation_split": 0.2, "subset": "training"}, "Pass a seed"),
        ({"validation_split": 2.0, "subset": "training", "seed": 0}, "0 < validation_split < 1"),
        ({"validation_split": 0.01, "subset": "validation", "seed": 0}, "no files for validation"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "not both"),
        ({"format": "grain"}, "format to be one of 'tf'"),
        ({"shufle": True}, "Did you mean shuffle"),
        ({"batch_size": 0}, "batch_size >= 1"),
    ],
)
def test_what_does_not_fit_is_a_sentence(tmp_path, arguments, words):
    with pytest.raises((distrib.ConfigError, distrib.DataError), match=words):
        load(make_folder(tmp_path), verbose=False, **arguments)


def test_folders_that_are_not_there_or_empty(tmp_path):
    with pytest.raises(distrib.DataError, match="Expected a folder of images"):
        load(tmp_path / "nowhere")
    (tmp_path / "cats").mkdir()
    with pytest.raises(distrib.DataError, match="There are no files"):
        load(tmp_path, verbose=False)


def test_without_pillow_there_is_advice(tmp_path, monkeypatch):
    make_folder(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(distrib.ConfigError, match=r"pip install 'distrib\[images\]'"):
        load(tmp_path)
    with pytest.raises(distrib.ConfigError, match=r"pip install 'distrib\[images\]'"):
        keras.utils.load_img(tmp_path / "cats" / "1.png")


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_resizing_keeps_what_is_flat_and_turns_with_the_image(interpolation):
    flat = np.full((13, 9, 3), 200, np.uint8)
    for size in ((5, 20), (13, 9), (40, 3)):
        np.testing.assert_allclose(resized(flat, size, interpolation), 200, rtol=1e-6)
    image = noise(16, 12, 2)
    turned = resized(image[::-1].transpose(1, 0, 2), (7, 9), interpolation)
    there = resized(image, (9, 7), interpolation)[::-1].transpose(1, 0, 2)
    if interpolation != "nearest":
        np.testing.assert_allclose(turned, there, atol=1e-3)
    else:
        assert set(np.unique(turned)) <= set(np.unique(image))


def test_areas_are_means():
    image = noise(8, 12, 3)
    expected = image.reshape(4, 2, 4, 3, 3).astype(float).mean(axis=(1, 3))
    np.testing.assert_allclose(resized(image, (4, 4), "area"), expected, rtol=1e-6)


def test_images_there_and_back(tmp_path):
    image = noise(6, 5, 3).astype(np.float32)
    path = tmp_path / "image.png"
    keras.utils.save_img(path, image, scale=False)
    np.testing.assert_array_equal(keras.utils.img_to_array(keras.utils.load_img(path)), image)
    first = keras.utils.img_to_array(Image.open(path), data_format="channels_first", dtype="uint8")
    assert (first.shape, first.dtype) == ((3, 6, 5), np.uint8)
    np.testing.assert_array_equal(np.asarray(keras.utils.array_to_img(first, "channels_first", False)), image)
    scaled = np.asarray(keras.utils.array_to_img(image / 1000 - 3))
    assert (scaled.min(), scaled.max()) == (0, 255)
    gray = keras.utils.array_to_img(np.full((2, 2, 1), 300.0), scale=False)
    assert np.asarray(gray).tolist() == [[300, 300], [300, 300]]
    keras.utils.save_img(tmp_path / "alpha.JPG", noise(6, 5, 4))
    assert keras.utils.load_img(tmp_path / "alpha.JPG").size == (5, 6)
    with pytest.raises(distrib.ConfigError, match="a format that Pillow writes"):
        keras.utils.save_img(tmp_path / "image.what", image)
    with pytest.raises(distrib.StorageError, match="cannot be written"):
        keras.utils.save_img(tmp_path / "nowhere" / "image.png", image)
    with pytest.raises(distrib.DataError, match="1, 3 or 4 channels"):
        keras.utils.array_to_img(image[..., :2])
    with pytest.raises(distrib.DataError, match="expects"):
        keras.utils.img_to_array(np.zeros(3))
    with pytest.raises(distrib.ConfigError, match="a path or a BytesIO"):
        keras.utils.load_img(3)


def test_links_are_followed_if_wanted(tmp_path):
    make_folder(tmp_path / "images")
    write(tmp_path / "elsewhere" / "10.png", noise(12, 10, 3))
    (tmp_path / "images" / "cats" / "more").symlink_to(tmp_path / "elsewhere")
    for follow, count in ((False, 9), (True, 10)):
        dataset = load(tmp_path / "images", follow_links=follow, verbose=False)
        assert len(dataset.file_paths) == count
