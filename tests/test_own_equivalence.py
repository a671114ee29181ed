"""The contract for layers and models of users' own: n replicas train what one process trains."""

import numpy as np
import pytest
from helpers.ps import on_workers
from helpers.replicas import KINDS, difference, in_one_process, on_replicas

import distrib
import distrib.tf as tf
from distrib import keras
from distrib.keras import layers


class Linear(layers.Layer):
    """With a penalty, a counter and a moving average."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), name="w", regularizer="l2")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")
        self.seen = self.add_weight(initializer="zeros", trainable=False, name="seen", aggregation="sum")
        self.mean = self.add_weight(shape=(self.units,), initializer="zeros", trainable=False, name="mean")

    def call(self, inputs, training=None):
        z = inputs @ self.w + self.b
        if training:
            self.seen.assign_add(len(inputs))
            self.mean.assign(0.9 * self.mean + 0.1 * np.mean(tf.stop_gradient(z), axis=0))
        self.add_loss(0.01 * tf.reduce_mean(tf.square(z)))
        return tf.nn.relu(z)

    def get_config(self):
        return super().get_config() | {"units": self.units}


class Classifier(keras.Model):
    """Layers in attributes and in a list, one of them used twice, and two outputs."""

    def __init__(self, dtype="float64"):
        super().__init__(dtype=dtype)
        self.first = Linear(6)
        self.hidden = layers.Dense(6, activation="tanh")
        self.dropout = layers.Dropout(0.3)
        self.blocks = [Linear(6) for _ in range(2)]
        self.inner = keras.Sequential([layers.Dense(5, activation="gelu"), layers.Dropout(0.2)])
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.probabilities, self.value = layers.Dense(3, activation="softmax"), layers.Dense(1)

    def call(self, inputs, training=None):
        h = self.hidden(self.first(inputs))
        h = self.hidden(self.dropout(h, training=training))
        for block in self.blocks:
            h = block(h) + h
        h = self.inner(h) * self.scale
        return {"label": self.probabilities(h), "value": self.value(h)}


def data(num_examples=45):
    rng = np.random.default_rng(1)
    return (
        rng.normal(size=(num_examples, 6)),
        {"label": rng.integers(0, 3, num_examples), "value": rng.normal(size=(num_examples, 1))},
    )


def compiled(model):
    model.compile(
        keras.optimizers.Adam(0.01),
        {"label": "sparse_categorical_crossentropy", "value": "mse"},
        metrics={"label": "accuracy", "value": "mae"},
    )
    return model


def body(strategy):
    x, y = data()
    model = compiled(Classifier())
    history = model.fit(
        x, y, batch_size=10, epochs=3, verbose=0, validation_data=(x[:7], {k: v[:7] for k, v in y.items()})
    )
    tested = model.evaluate(x, y, batch_size=11, verbose=0)
    return model.get_weights(), history.history, tested, model.predict(x[:4], verbose=0)["value"]


def same(found, expected):
    assert difference(found[0], expected[0]) < 1e-12
    assert found[1].keys() == expected[1].keys()
    for name, values in expected[1].items():
        np.testing.assert_allclose(found[1][name], values, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-12)
    np.testing.assert_allclose(found[3], expected[3], rtol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_replicas", [1, 2, 3, 4])
def test_a_model_by_subclass(num_replicas, kind):
    expected = in_one_process(body)
    for found in on_replicas(num_replicas, body, kind=kind):
        same(found, expected)


def test_states_are_those_of_one_process():
    def states(strategy):
        x, y = data()
        model = compiled(Classifier())
        model.fit(x, y, batch_size=10, epochs=2, verbose=0)
        return float(model.first.seen.numpy()), model.blocks[1].mean.numpy()

    seen, mean = in_one_process(states)
    assert seen == 90.0
    for found in on_replicas(4, states):
        assert found[0] == 90.0
        np.testing.assert_allclose(found[1], mean, rtol=1e-12)


def test_more_replicas_than_examples_of_a_batch():
    def few(strategy):
        x, y = data(7)
        model = compiled(Classifier())
        model.fit(x, y, batch_size=3, epochs=2, verbose=0)
        return model.get_weights(), {}, 0.0, 0.0

    expected = in_one_process(few)
    for found in on_replicas(4, few):
        assert difference(found[0], expected[0]) < 1e-12


@pytest.mark.parametrize("num_replicas", [1, 3])
def test_own_layers_in_a_graph(num_replicas):
    class Split(layers.Layer):
        def call(self, inputs):
            return inputs[:, :2] * 2, tf.exp(inputs[:, 2:])

    def graph(strategy):
        x, y = data()
        inputs = keras.Input((6,))
        shared = Linear(6)
        left, right = Split()(shared(shared(inputs)))
        outputs = layers.Dense(1)(layers.Concatenate()([left, layers.Lambda(lambda t: np.sin(t) + t)(right)]))
        model = keras.Model(inputs, outputs, dtype="float64")
        model.compile("rmsprop", "mse")
        history = model.fit(x, y["value"], batch_size=10, epochs=3, verbose=0)
        return model.get_weights(), history.history, 0.0, model.predict(x[:3], verbose=0)

    expected = in_one_process(graph)
    for found in on_replicas(num_replicas, graph):
        same(found, expected)


def test_a_scope_trains_in_float32_as_in_float64():
    def weights(dtype):
        x, y = data()
        model = compiled(Classifier(dtype))
        model.fit(x, y, batch_size=10, epochs=1, verbose=0)
        return model.get_weights()

    narrow, wide = in_one_process(lambda s: weights("float32")), in_one_process(lambda s: weights("float64"))
    assert {each.dtype.name for each in narrow} == {"float32"}
    assert difference(narrow, wide) < 1e-4


def test_saved_and_read_again(tmp_path):
    x, y = data()
    model = compiled(Classifier())
    model.fit(x, y, batch_size=10, epochs=1, verbose=0)
    model.save_weights(tmp_path / "w.weights.safetensors")
    model.save(tmp_path / "model")
    distrib.reset()
    other = compiled(Classifier())
    other.build((None, 6))
    other.load_weights(tmp_path / "w.weights.safetensors")
    np.testing.assert_array_equal(other.predict(x, verbose=0)["label"], model.predict(x, verbose=0)["label"])
    read = distrib.load_model(tmp_path / "model", custom_objects={"Classifier": Classifier})
    for name in ("model.keras", "model.h5", "w.weights.h5"):
        with pytest.raises(distrib.ConfigError, match="a model by subclass"):
            (model.save_weights if "weights" in name else model.save)(tmp_path / name)
    first, second = (each.fit(x, y, batch_size=10, epochs=1, verbose=0).history for each in (model, read))
    assert first == second


@pytest.mark.parametrize("num_ps", [1, 2])
@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_synchronous_parameter_servers(num_workers, num_ps):
    """But for variables that layers change: those of each worker are its own, as a warning says."""

    def fitted(strategy):
        x, y = data()
        model = compiled(Classifier())
        history = model.fit(x, y, batch_size=10, epochs=3, verbose=0)
        return [each.numpy() for each in model.trainable_variables], history.history["loss"]

    weights, losses = in_one_process(fitted)
    for found in on_workers(num_workers, fitted, num_ps=num_ps, mode="sync"):
        assert difference(found[0], weights) < 1e-12
        np.testing.assert_allclose(found[1], losses, rtol=1e-12)


def test_asynchronous_parameter_servers_lose_nothing():
    def fitted(strategy):
        x, y = data()
        model = compiled(Classifier())
        model.fit(x, y, batch_size=5, epochs=2, verbose=0)
        return int(model.optimizer.iterations)

    assert on_workers(3, fitted, mode="async")[0] == 18


def test_building_a_model_does_not_count():
    """A model is built by a call with zeros, which leaves no trace in what layers count."""

    class Counts(layers.Layer):
        def __init__(self):
            super().__init__()
            self.direct = distrib.Variable(5, trainable=False, aggregation="only_first_replica")

        def build(self, input_shape):
            self.calls = self.add_weight(initializer="ones", trainable=False, dtype="int32", name="calls")

        def call(self, inputs, training=None):
            self.calls.assign_add(1)
            self.direct.assign_add(1)
            return inputs * 2

    def counted(strategy):
        own = Counts()
        model = keras.Sequential([layers.Input((6,)), own, layers.Dense(3)], dtype="float64")
        model.compile("sgd", "mse")
        model.build()
        first = int(own.calls), int(own.direct)
        model.fit(data()[0], np.zeros((45, 3)), batch_size=10, epochs=2, verbose=0)
        return first, int(own.calls), int(own.direct)

    assert in_one_process(counted) == ((1, 5), 11, 15)
    assert on_replicas(3, counted) == [((1, 5), 11, 15)] * 3


def test_a_loss_is_added_within_call():
    layer = Linear(3)
    with pytest.raises(distrib.ConfigError, match="adds to the loss within call"):
        layer.add_loss(1.0)
