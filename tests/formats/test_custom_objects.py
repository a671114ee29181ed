"""Classes and functions of one's own in saved models, by the names under which they are registered."""

import json

import numpy as np
import pytest
from helpers.replicas import difference

import distrib
from distrib import keras
from distrib.base.errors import ConfigError

rng = np.random.default_rng(2)
X, Y = rng.normal(size=(12, 4)).astype("float32"), rng.integers(0, 3, 12)


@keras.saving.register_keras_serializable("tests")
class Scale(keras.layers.Layer):
    """Multiplies by a number that is learned."""

    def __init__(self, start=1.0, **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def make_variables(self, input_shape, seed):
        self._scale = self.add_variable("scale", (), keras.initializers.Constant(self.start), seed)
        return [self._scale]

    def compute_output_shape(self, input_shape):
        return input_shape

    def forward(self, x, draw):
        self._x = x
        return x * self._scale.value

    def backward(self, d_y):
        self._scale.grad[...] = np.sum(d_y * self._x)
        return d_y * self._scale.value

    def get_config(self):
        return super().get_config() | {"start": self.start}


@keras.utils.register_keras_serializable("tests", "Shifted")
class ShiftedError(keras.losses.MeanSquaredError):
    """A loss of one's own."""


@keras.saving.register_keras_serializable("tests")
def mean_sign(y_true, y_pred):
    return np.sign(y_pred).mean(axis=-1)


def made(layer, loss="sparse_categorical_crossentropy", metrics=None):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(5), layer, keras.layers.Dense(3, activation="softmax")], seed=1
    )
    model.compile(keras.optimizers.Adam(0.1), loss, metrics)
    return model


@pytest.mark.parametrize("name", ["folder", "model.keras", "model.h5"])
def test_registered_classes_are_saved_and_loaded(tmp_path, name):
    model = made(Scale(1.5), metrics=["accuracy", mean_sign])
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / name)
    found = keras.saving.load_model(tmp_path / name)
    assert isinstance(found.layers[1], Scale)
    assert found.layers[1].start == 1.5
    first = model.fit(X, Y, shuffle=False, verbose=0, epochs=2).history
    second = found.fit(X, Y, shuffle=False, verbose=0, epochs=2).history
    assert first == second
    assert set(first) == {"loss", "accuracy", "mean_sign"}
    assert difference(found.get_weights(), model.get_weights()) == 0


class Unregistered(Scale):
    """Is known by the name that is passed."""


@pytest.mark.parametrize("name", ["folder", "model.keras", "model.h5"])
def test_classes_are_passed_by_name(tmp_path, name):
    model = made(Unregistered(0.5))
    model.save(tmp_path / name)
    with pytest.raises(ConfigError, match=r"Received: 'Unregistered'\. Register a class"):
        keras.models.load_model(tmp_path / name)
    found = keras.models.load_model(tmp_path / name, custom_objects={"Unregistered": Unregistered})
    assert isinstance(found.layers[1], Unregistered)
    assert difference(found.get_weights(), model.get_weights()) == 0
    with keras.saving.custom_object_scope({"Unregistered": Unregistered}):
        assert isinstance(keras.models.load_model(tmp_path / name).layers[1], Unregistered)
        assert isinstance(keras.models.clone_model(model).layers[1], Unregistered)
    config = json.loads(model.to_json())
    copy = keras.Sequential.from_config(config, custom_objects={"Unregistered": Unregistered})
    assert copy.get_config() == model.get_config()


def test_losses_of_ones_own(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", ShiftedError())
    model.save(tmp_path / "model.keras")
    assert isinstance(distrib.load_model(tmp_path / "model.keras").compile_config.describe(), dict)
    model.compile("sgd", "tests>Shifted")
    assert model.compile_config.describe()["loss"]["class"] == "tests>Shifted"


def test_names():
    saving = keras.saving
    assert saving.get_registered_name(Scale) == "tests>Scale"
    assert saving.get_registered_name(Unregistered) == "Unregistered"
    assert saving.get_registered_object("tests>Scale") is Scale
    assert saving.get_registered_object("Scale") is None
    assert saving.get_registered_object("Scale", {"Scale": Scale}) is Scale
    assert saving.get_custom_objects()["tests>mean_sign"] is mean_sign
    with pytest.raises(ConfigError, match="a class with get_config"):
        saving.register_keras_serializable()(type("Nothing", (), {}))


OBJECTS = [
    keras.regularizers.L1(0.005),
    keras.initializers.VarianceScaling(2.0, "fan_out"),
    keras.constraints.MinMaxNorm(0.1, 0.9),
    keras.losses.Huber(2.0, name="h"),
    keras.metrics.SparseTopKCategoricalAccuracy(3),
    keras.metrics.MeanSquaredError(name="m"),
    keras.losses.MeanSquaredError(),
    keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5), amsgrad=True),
    keras.optimizers.schedules.CosineDecay(0.1, 10),
    keras.layers.Dense(3, "relu", kernel_regularizer="l2"),
    Scale(2.0),
]


@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
def test_objects_are_described_as_keras_describes_them(value):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(value)))
    assert set(config) == {"module", "class_name", "config", "registered_name"}
    found = keras.saving.deserialize_keras_object(config)
    assert type(found) is type(value)
    assert found.get_config() == value.get_config()


def test_structures_are_described(tmp_path):
    model = made(Scale(1.5))
    config = keras.saving.serialize_keras_object(
        {"model": model, "rest": [1, None, "a", keras.regularizers.L2(0.1)]}
    )
    found = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert found["model"].get_config() == model.get_config()
    assert found["rest"][:3] == [1, None, "a"]
    assert isinstance(found["rest"][3], keras.regularizers.L2)
    with pytest.raises(ConfigError, match="an object of Keras"):
        keras.saving.serialize_keras_object(object())
    with pytest.raises(ConfigError, match="no class Nothing"):
        keras.saving.deserialize_keras_object({"class_name": "Nothing", "config": {}})
