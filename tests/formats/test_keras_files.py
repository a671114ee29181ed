"""Files of Keras: those that Keras has written are read, and those that are written hold the whole model.

The files and numbers of Keras are recorded by scripts/record_keras_files.py.
"""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.optimizers import OPTIMIZERS
from helpers.replicas import difference, on_replicas

import distrib
from distrib import keras
from distrib.base.errors import ConfigError, StorageError
from distrib.formats.keras.archive import read_archive
from distrib.formats.keras.model_reader import model_from_keras
from distrib.formats.keras.model_writer import model_to_keras

FILES = Path(__file__).with_name("files")
RECORDED = {name: json.loads((FILES / f"{name}.json").read_text()) for name in ("keras2", "keras3")}
MODELS = [
    path
    for path in sorted(FILES.iterdir())
    if path.suffix in (".keras", ".h5") and "weights" not in path.name
]
ENDINGS = [".keras", ".h5", ".hdf5"]

rng = np.random.default_rng(16)
X, LABELS, SIZES = (
    rng.normal(size=(16, 4)).astype("float32"),
    rng.integers(0, 3, 16),
    rng.normal(size=16).astype("float32"),
)
DATA = {"row": (X, LABELS), "graph": ([X, X[:, :2]], [LABELS, SIZES])}


def recorded(path):
    version, name = path.name.partition(".")[0].split("_")
    return name, RECORDED[version][name]


def listed(predicted):
    return predicted if isinstance(predicted, list) else [predicted]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
def test_a_model_of_keras_predicts_and_trains_on_as_in_keras(path):
    name, expected = recorded(path)
    model = distrib.load_model(path)
    for ours, theirs in zip(
        listed(model.predict(DATA[name][0], verbose=0)), expected["predicted"], strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert model.optimizer.iterations == expected["iterations"]
    history = model.fit(*DATA[name], batch_size=8, epochs=3, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], expected["losses after"], rtol=1e-5)


@pytest.mark.parametrize("name", ["row", "graph"])
def test_weights_of_keras_are_loaded_into_a_model_of_ones_own(name):
    model = distrib.load_model(FILES / f"keras3_{name}.keras")
    expected = model.get_weights()
    model.set_weights([np.zeros_like(each) for each in expected])
    model.load_weights(FILES / f"keras3_{name}.weights.h5")
    assert difference(model.get_weights(), expected) == 0
    model.set_weights([np.zeros_like(each) for each in expected])
    for ending in (".h5", ".keras"):
        model.load_weights(FILES / f"keras3_{name}{ending}")
        assert difference(model.get_weights(), expected) == 0


def made(optimizer="adam", dtype="float64"):
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    shared = keras.layers.Dense(5, activation="tanh", name="shared")
    inner = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4), keras.layers.PReLU()], name="inner")
    both = keras.layers.Concatenate()([inner(shared(a)), inner(shared(keras.layers.Dense(4)(b)))])
    outputs = {
        "label": keras.layers.Dense(3, "softmax", name="label", kernel_constraint="max_norm")(both),
        "size": keras.layers.Dense(1, name="size", kernel_regularizer=keras.regularizers.L1L2(0.01, 0.02))(
            both
        ),
    }
    model = keras.Model({"a": a, "b": b}, outputs, dtype=dtype, seed=3)
    model.compile(
        optimizer,
        {"label": keras.losses.SparseCategoricalCrossentropy(), "size": keras.losses.Huber(2.0)},
        loss_weights={"label": 1.0, "size": 0.5},
        metrics={"label": ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(k=2)]},
        weighted_metrics={"size": [keras.metrics.RootMeanSquaredError()]},
    )
    return model


def train(model, epochs=2):
    x, y = {"a": X, "b": X[:, :2]}, {"label": LABELS, "size": SIZES}
    return model.fit(x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0).history


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_saved_model_trains_on_as_if_it_had_not_been_saved(tmp_path, name, ending):
    model = made(OPTIMIZERS[name]())
    train(model)
    model.save(tmp_path / f"model{ending}")
    found = distrib.load_model(tmp_path / f"model{ending}")
    assert found.get_config() == model.get_config()
    assert found.compile_config.describe() == model.compile_config.describe()
    assert difference(found.get_weights(), model.get_weights()) == 0
    expected, received = train(model), train(found)
    assert difference(found.get_weights(), model.get_weights()) <= 1e-12
    assert expected.keys() == received.keys()
    for key, values in expected.items():
        np.testing.assert_allclose(received[key], values, rtol=1e-9)


def test_a_schedule_and_averages_are_saved(tmp_path):
    schedule = keras.optimizers.schedules.CosineDecay(0.05, 20, warmup_target=0.1, warmup_steps=3)
    model = made(keras.optimizers.AdamW(schedule, use_ema=True, clipnorm=0.5))
    train(model)
    model.save(tmp_path / "model.keras")
    found = distrib.load_model(tmp_path / "model.keras")
    train(model)
    train(found)
    assert difference(found.get_weights(), model.get_weights()) <= 1e-12


def test_weights_with_the_state_of_the_optimizer(tmp_path):
    model = made()
    train(model)
    model.save_weights(tmp_path / "model.weights.h5")
    other = made()
    other.load_weights(tmp_path / "model.weights.h5")
    train(model)
    train(other)
    assert difference(other.get_weights(), model.get_weights()) <= 1e-12


def test_a_model_that_is_not_compiled(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.save(tmp_path / "model.keras")
    model.save(tmp_path / "model.h5")
    for path in tmp_path.iterdir():
        found = keras.models.load_model(path)
        assert difference(found.get_weights(), model.get_weights()) == 0
        with pytest.raises(ConfigError, match="is not compiled"):
            found.evaluate(X, LABELS)
    with pytest.raises(ConfigError, match="is not compiled"):
        distrib.load_model(FILES / "keras3_row.keras", compile=False).evaluate(X, LABELS)


LAYERS = [
    keras.layers.Activation("gelu"),
    keras.layers.ActivityRegularization(0.1, 0.2),
    keras.layers.Dense(3, "relu", False, "he_normal", kernel_regularizer="l1", name="a-name"),
    keras.layers.Dense(2, activity_regularizer=keras.regularizers.L2(0.1), trainable=False),
    keras.layers.Dense(
        2, bias_constraint="non_neg", kernel_initializer=keras.initializers.VarianceScaling(2.0)
    ),
    keras.layers.Dropout(0.3, seed=4),
    keras.layers.ELU(0.5),
    keras.layers.Flatten(),
    keras.layers.GaussianDropout(0.2),
    keras.layers.GaussianNoise(0.2),
    keras.layers.LeakyReLU(negative_slope=0.1),
    keras.layers.Normalization(axis=None, mean=0.5, variance=2.0),
    keras.layers.PReLU(alpha_initializer=keras.initializers.Constant(0.2), shared_axes=[1]),
    keras.layers.Permute((2, 1)),
    keras.layers.ReLU(6.0, 0.1, 0.5),
    keras.layers.Rescaling(1 / 255, -1.0),
    keras.layers.Reshape((-1, 2)),
    keras.layers.Softmax(axis=-1),
    keras.layers.UnitNormalization(),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_every_layer_is_written_and_read(layer):
    model = keras.Sequential([keras.Input((4, 2)), layer])
    config = model.get_config()
    there = json.loads(json.dumps(model_to_keras(config)))
    assert keras.Sequential.from_config(model_from_keras(there)).get_config() == config


def test_checkpoints_in_files_of_keras(tmp_path):
    def body(strategy):
        model = made()
        x, y = {"a": X, "b": X[:, :2]}, {"label": LABELS, "size": SIZES}
        saved = [
            distrib.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras"),
            distrib.callbacks.ModelCheckpoint(tmp_path / "last.weights.h5", save_weights_only=True),
        ]
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=saved)
        found = distrib.load_model(tmp_path / "1.keras")
        found.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
        other = made()
        other.load_weights(tmp_path / "last.weights.h5")
        return model.get_weights(), found.get_weights(), other.get_weights()

    for model, found, other in on_replicas(2, body):
        assert difference(found, model) <= 1e-12
        assert difference(other, model) == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] != ".") == [
        "1.keras",
        "2.keras",
        "last.weights.h5",
    ]


def archive_with(change, path=FILES / "keras3_row.keras"):
    """A `.keras` file with another configuration."""
    content = io.BytesIO()
    with zipfile.ZipFile(path) as there, zipfile.ZipFile(content, "w") as archive:
        config = json.loads(there.read("config.json"))
        change(config)
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", there.read("model.weights.h5"))
    return content.getvalue()


def layer_class(name):
    def change(config):
        config["config"]["layers"][2]["class_name"] = name

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (layer_class("Lambda"), "is a Lambda, whose function lies in the file as code"),
        (layer_class("MyLayer"), "built-in layer"),
        (lambda config: config.update(class_name="MyModel"), "Sequential or Model"),
        (
            lambda config: config["config"]["layers"][2]["config"].update(lora_rank=4),
            "lora_rank=4 is not supported",
        ),
        (
            lambda config: config["config"]["layers"][2]["config"].update(dtype="float16"),
            "float32 or float64",
        ),
        (lambda config: config["compile_config"].update(loss="my_loss"), "my_loss"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path, change, words):
    path = tmp_path / "model.keras"
    path.write_bytes(archive_with(change))
    with pytest.raises(ConfigError, match=words) as caught:
        distrib.load_model(path, safe_mode=False)
    assert str(path) in str(caught.value)


def test_names_say_what_is_written(tmp_path):
    model = made()
    with pytest.raises(ConfigError, match="Use save_weights"):
        model.save(tmp_path / "model.weights.h5")
    with pytest.raises(ConfigError, match=r"ends in .weights.safetensors or .weights.h5"):
        model.save_weights(tmp_path / "model.h5")
    with pytest.raises(StorageError, match="holds weights alone"):
        distrib.load_model(FILES / "keras3_row.weights.h5")
    with pytest.raises(StorageError, match="there is none"):
        distrib.load_model(tmp_path / "model.keras")
    with pytest.raises(StorageError, match=r"layer 'lifted'|has 2 variables|expected the shape"):
        made().load_weights(FILES / "keras3_row.weights.h5")
    model.save(tmp_path / "model.keras")
    with pytest.raises(ConfigError, match="overwrite=False"):
        model.save(tmp_path / "model.keras", overwrite=False)


def test_without_h5py(tmp_path, monkeypatch):
    monkeypatch.setattr("distrib.formats.hdf5.find_spec", lambda name: None)
    for call in (
        lambda: made().save(tmp_path / "model.keras"),
        lambda: distrib.load_model(FILES / "keras3_row.keras"),
        lambda: distrib.callbacks.ModelCheckpoint(tmp_path / "model.h5"),
    ):
        with pytest.raises(ConfigError, match="pip install h5py"):
            call()
    assert not any(tmp_path.iterdir())


def test_the_archive_is_that_of_keras(tmp_path):
    """The same members, layers and paths as in a file of Keras of the same model."""
    path = FILES / "keras3_graph.keras"
    distrib.load_model(path).save(tmp_path / "model.keras")
    there, here = (read_archive(each.read_bytes(), "model") for each in (path, tmp_path / "model.keras"))

    def paths(group, prefix=""):
        found = {f"{prefix}{name}": array.shape for name, array in group.datasets.items()}
        for name, inner in group.groups.items():
            found |= paths(inner, f"{prefix}{name}/")
        return found

    assert paths(here.weights) == paths(there.weights)
    names = [
        [each["config"]["name"] for each in archive.config["config"]["layers"]] for archive in (here, there)
    ]
    assert names[0] == names[1]
    calls = [
        [len(each["inbound_nodes"]) for each in archive.config["config"]["layers"]]
        for archive in (here, there)
    ]
    assert calls[0] == calls[1]
