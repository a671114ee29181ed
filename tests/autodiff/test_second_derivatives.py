"""Second derivatives through layers, activations and losses, against central differences of the first."""

import numpy as np
import pytest

import distrib
import distrib.tf as tf
from distrib import keras
from distrib.autodiff.tape import GradientTape
from distrib.autodiff.tensor import as_tensor
from distrib.base.errors import ConfigError
from distrib.keras import layers


def first(function, x):
    with GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x)


def check(function, x, bound=1e-6):
    """That the derivative of `sum(gradient**3)` is its slope."""
    tensor = as_tensor(x.copy())
    with GradientTape() as tape:
        tape.watch(tensor)
        value = np.sum(first(function, tensor) ** 3)
    found = np.asarray(tape.gradient(value, tensor))
    slope = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        values = []
        for step in (1e-5, -1e-5):
            moved = x.copy()
            moved[index] += step
            values.append(float(np.sum(np.asarray(first(function, as_tensor(moved))) ** 3)))
        slope[index] = (values[0] - values[1]) / 2e-5
    np.testing.assert_allclose(found, slope, rtol=bound, atol=bound * max(1.0, np.abs(slope).max()))


X = np.random.default_rng(0).normal(size=(4, 3))
ACTIVATIONS = [
    "relu",
    "leaky_relu",
    "elu",
    "tanh",
    "sigmoid",
    "silu",
    "softplus",
    "exponential",
    "softmax",
    "log_softmax",
]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    function = getattr(keras.activations, name)
    check(lambda x: np.sum(np.square(function(x)) * X), X)
    assert first(lambda x: np.sum(function(x)), as_tensor(X)).shape == X.shape


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (keras.losses.MeanSquaredError(), np.ones((4, 3))),
        (keras.losses.BinaryCrossentropy(from_logits=True), (X > 0).astype(float)),
        (keras.losses.CategoricalCrossentropy(from_logits=True), np.eye(3)[[0, 1, 2, 0]]),
        (
            keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"),
            np.array([0, 1, 2, 0]),
        ),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_losses(loss, y):
    check(lambda x: loss(y, x * x), X)


def test_a_penalty_on_the_gradient_of_a_model():
    """The gradient penalty of Gulrajani et al., 2017: through layers, with respect to their variables."""
    model = keras.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(5),
            layers.LeakyReLU(0.2),
            layers.Dropout(0.0),
            layers.Dense(4, "tanh"),
            layers.Dense(1),
        ],
        dtype="float64",
        seed=2,
    )
    variables = model.trainable_variables

    def penalty():
        x = as_tensor(X.copy())
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x, training=True)
        norm = tf.sqrt(tf.reduce_sum(tf.square(tape.gradient(y, x)), axis=1))
        return tf.reduce_mean((norm - 1.0) ** 2)

    with tf.GradientTape() as tape:
        value = penalty()
    found = tape.gradient(value, variables, unconnected_gradients="zero")
    assert any(np.abs(each).max() > 1e-3 for each in found)
    for variable, gradient in zip(variables, found, strict=True):
        for index in np.ndindex(variable.shape):
            values = []
            for step in (1e-6, -1e-6):
                variable.value[index] += step
                values.append(float(penalty()))
                variable.value[index] -= step
            assert float(gradient[index]) == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-7)


def test_a_frozen_layer():
    dense = layers.Dense(3, "tanh", dtype="float64")
    dense.build((None, 3))
    dense.trainable = False
    check(lambda x: np.sum(dense(x) ** 2), X)


def test_what_has_none_is_an_error_where_it_is_asked_for():
    x = as_tensor(X.copy())
    with GradientTape() as tape:
        tape.watch(x)
        inner = first(lambda x: np.sum(keras.activations.mish(x)), x)
        value = np.sum(inner**2)
    with pytest.raises(ConfigError, match="gradient of Mish has no gradient"):
        tape.gradient(value, x)
    assert distrib.GradientTape is GradientTape
