"""Images changed at random: the same on any number of replicas, in `fit` and in loops of one's own."""

import collections
import itertools
import threading

import numpy as np
import pytest
from helpers.pictures import make_folder, noise
from helpers.replicas import difference, in_one_process, on_replicas

import distrib
from distrib.data.images import flows
from distrib.keras.preprocessing.image import ImageDataGenerator, smart_resize

X = np.stack([noise(12, 10, 3, seed) for seed in range(11)])
Y = np.arange(11) % 2
CHANGES = {
    "rotation_range": 20,
    "width_shift_range": 0.2,
    "zoom_range": 0.3,
    "horizontal_flip": True,
    "brightness_range": (0.5, 1.5),
    "rescale": 1 / 255,
}


def model_of(dtype="float64"):
    layers = distrib.layers
    stack = [layers.Flatten(), layers.Dense(2, activation="softmax")]
    model = distrib.Sequential([distrib.Input((12, 10, 3)), *stack], dtype=dtype)
    model.compile(distrib.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("seed", [None, 5])
def test_replicas_train_on_the_same_changes(seed):
    made, lock = collections.Counter(), threading.Lock()

    def counted(image):
        with lock:
            made[image.tobytes()] += 1
        return image

    def train(strategy):
        generator = ImageDataGenerator(**CHANGES, preprocessing_function=counted)
        model, weight = model_of(), np.linspace(0.5, 2, 11)
        model.fit(generator.flow(X, Y, batch_size=4, sample_weight=weight, seed=seed), epochs=2, verbose=0)
        return model.get_weights()

    reference = in_one_process(train)
    assert made.total() == 2 * 11 + 1, "one more, of which shapes are known"
    assert len(made) == 2 * 11, "every epoch has other changes"
    for num_replicas in (2, 3):
        made.clear()
        for weights in on_replicas(num_replicas, train):
            assert difference(weights, reference) <= 1e-12
        assert made.total() == 2 * 11 + num_replicas


def test_each_file_is_read_by_one_replica(tmp_path, monkeypatch):
    make_folder(tmp_path, per_class=(6, 5))
    reads, lock = collections.Counter(), threading.Lock()

    def counted(path, *arguments, load=flows.load_img):
        with lock:
            reads[path] += 1
        return load(path, *arguments)

    monkeypatch.setattr(flows, "load_img", counted)

    def train(strategy):
        generator = ImageDataGenerator(**CHANGES, validation_split=0.0)
        model = model_of()
        flow = generator.flow_from_directory(
            tmp_path, (12, 10), classes=["cats", "dogs"], class_mode="sparse", batch_size=4
        )
        model.fit(flow, epochs=2, verbose=0)
        return model.get_weights()

    reference = in_one_process(train)
    assert sorted(reads.values()) == [2] * 10 + [3]
    for num_replicas in (2, 3):
        reads.clear()
        for weights in on_replicas(num_replicas, train):
            assert difference(weights, reference) <= 1e-12
        assert sorted(reads.values()) == [2] * 10 + [2 + num_replicas]


def test_loops_without_end():
    flow = ImageDataGenerator(rotation_range=10).flow(X, Y, batch_size=4, seed=1)
    assert len(flow) == 3
    batches = list(itertools.islice(flow, 7))
    assert [len(x) for x, _ in batches] == [4, 4, 3, 4, 4, 3, 4]
    first, second = (np.concatenate([y for _, y in part]) for part in (batches[:3], batches[3:6]))
    assert sorted(first) == sorted(second) == sorted(Y)
    assert not np.array_equal(batches[0][0], batches[3][0])
    again = ImageDataGenerator(rotation_range=10).flow(X, Y, batch_size=4, seed=1)
    for index in (2, 0, 1, -1):
        np.testing.assert_array_equal(again[index][0], batches[index % 3][0])
    again.on_epoch_end()
    np.testing.assert_array_equal(next(again)[0], batches[3][0])
    np.testing.assert_array_equal(again.next()[0], batches[4][0])
    again.reset()
    np.testing.assert_array_equal(next(again)[0], batches[3][0])
    with pytest.raises(IndexError, match="3 batches"):
        flow[3]


def test_images_and_masks_are_changed_together():
    """Two flows with one seed, as scripts for segmentation have them."""
    arguments = {"rotation_range": 40, "zoom_range": 0.5, "horizontal_flip": True}
    pair = [ImageDataGenerator(**arguments).flow(X, batch_size=4, seed=3) for _ in range(2)]
    for one, other in itertools.islice(zip(*pair, strict=True), 5):
        np.testing.assert_array_equal(one, other)


def test_evaluate_and_predict_and_validation_data(tmp_path):
    generator = ImageDataGenerator(rescale=1 / 255, validation_split=0.4)
    training, validation = (
        generator.flow(X, Y, 4, subset=each, shuffle=False) for each in ("training", "validation")
    )
    model = model_of()
    history = model.fit(training, validation_data=validation, epochs=1, verbose=0).history
    np.testing.assert_allclose(
        history["val_loss"][0], model.evaluate(X[:4] / 255, Y[:4], verbose=0), rtol=1e-6
    )
    np.testing.assert_allclose(
        model.predict(validation, verbose=0), model.predict(X[:4] / 255, verbose=0), rtol=1e-6
    )
    with pytest.raises(distrib.DataError, match="do not have the same labels"):
        generator.flow(X, np.arange(11), subset="training")
    assert generator.flow(X, np.arange(11), subset="training", ignore_class_split=True).n == 7


def test_other_inputs_stay_as_they_are():
    flow = ImageDataGenerator(rescale=2.0).flow((X, np.arange(11)), Y, batch_size=4, shuffle=False)
    (images, numbers), labels = flow[1]
    np.testing.assert_array_equal(images, X[4:8] * np.float32(2))
    assert numbers.tolist() == [4, 5, 6, 7]
    np.testing.assert_array_equal(labels, Y[4:8])


def test_what_is_outside_and_turned():
    image = np.arange(9.0).reshape(3, 3, 1)
    turned = ImageDataGenerator().apply_transform(image, {"theta": 90})[..., 0]
    np.testing.assert_allclose(turned, np.rot90(image[..., 0]), atol=1e-12)
    moved = ImageDataGenerator(fill_mode="constant", cval=-1).apply_transform(image, {"ty": 1})[..., 0]
    assert moved.tolist() == [[3, 4, 5], [6, 7, 8], [-1, -1, -1]]
    first = ImageDataGenerator(data_format="channels_first").apply_transform(
        image.transpose(2, 0, 1), {"theta": 90}
    )
    np.testing.assert_array_equal(first[0], turned)
    one = ImageDataGenerator(rotation_range=90).random_transform(image, seed=1)
    np.testing.assert_array_equal(one, ImageDataGenerator(rotation_range=90).random_transform(image, seed=1))
    draws = ImageDataGenerator(rotation_range=90)
    assert draws.get_random_transform((3, 3, 1)) != draws.get_random_transform((3, 3, 1))


def test_fit_finds_the_scale(caplog):
    generator = ImageDataGenerator(featurewise_std_normalization=True)
    generator.flow(X, shuffle=False)[0]
    assert "no effect before generator.fit" in caplog.text
    generator.fit(X)
    scaled = generator.standardize(X)
    np.testing.assert_allclose(scaled.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=(0, 1, 2)), 1, rtol=1e-5)
    assert X.dtype == np.uint8
    means = []
    for seed in (1, 1, 2):
        changed = ImageDataGenerator(featurewise_center=True, brightness_range=(0.1, 0.5))
        changed.fit(X, augment=True, rounds=2, seed=seed)
        means.append(changed.mean.tolist())
    assert means[0] == means[1] != means[2]
    with pytest.raises(distrib.DataError, match="fit expects"):
        generator.fit(X[0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"zca_whitening": True}, "zca_whitening is not supported"),
        ({"fill_mode": "mirror"}, "'reflect'"),
        ({"interpolation_order": 3}, "interpolation_order"),
        ({"validation_split": 1.5}, "0 < validation_split < 1"),
        ({"zoom_range": (1, 2, 3)}, "zoom_range to be two numbers"),
        ({"brightness_range": 0.5}, "brightness_range to be two numbers"),
        ({"width_shift_range": -0.2}, "width_shift_range >= 0"),
        ({"rotation": 3}, "Did you mean rotation_range"),
        ({"data_format": "first"}, "channels_first"),
    ],
)
def test_what_there_is_not(arguments, words):
    with pytest.raises(distrib.ConfigError, match=words):
        ImageDataGenerator(**arguments)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda g, _: g.flow(X[0]), "flow expects images"),
        (lambda g, _: g.flow(X, Y[:3]), "as many targets"),
        (lambda g, _: g.flow(X, subset="test"), "'training', 'validation'"),
        (lambda g, _: g.flow(X, subset="validation"), "There are no images"),
        (lambda g, _: g.flow(X, batch_size=0), "batch_size >= 1"),
        (lambda g, _: g.flow(X, seed=-1), "seed >= 0"),
        (lambda g, _: g.flow(X, save_to_dir="x"), "save_to_dir is not supported"),
        (lambda g, _: g.flow_from_dataframe(None), "flow_from_dataframe is not supported"),
        (lambda g, path: g.flow_from_directory(path, class_mode="other"), "class_mode"),
        (lambda g, path: g.flow_from_directory(path, classes=["birds"]), "classes are folders"),
        (lambda g, path: g.flow_from_directory(path / "no"), "Expected a folder"),
        (lambda g, path: g.flow_from_directory(path, interpolation="cubic")[0], "'bicubic'"),
        (
            lambda g, _: ImageDataGenerator(preprocessing_function=lambda x: x[:3]).flow(X)[0],
            "the same shape",
        ),
        (
            lambda g, _: ImageDataGenerator(preprocessing_function=lambda x: x / "a").flow(X)[0],
            "preprocessing_function failed",
        ),
        (lambda g, _: g.apply_transform(X, {}), "3 axes"),
        (lambda g, _: smart_resize(X[0, 0], (2, 2)), "3 axes, or 4"),
    ],
)
def test_what_does_not_fit_is_a_sentence(tmp_path, call, words):
    with pytest.raises((distrib.ConfigError, distrib.DataError), match=words):
        call(ImageDataGenerator(), make_folder(tmp_path))


def test_smart_resize_cuts_the_middle():
    wide = np.concatenate([np.zeros((4, 2, 3)), np.ones((4, 4, 3)), np.zeros((4, 2, 3))], axis=1)
    assert (smart_resize(wide, (2, 2)) == 1).all()
    assert smart_resize(
        wide[np.newaxis].transpose(0, 3, 1, 2), (2, 3), data_format="channels_first"
    ).shape == (1, 3, 2, 3)
