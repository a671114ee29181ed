"""Layers and activations against Keras (recorded by scripts/record_keras_layers.py) and central differences."""

import inspect
import json
import math
from pathlib import Path

import numpy as np
import pytest
from helpers.places import everywhere
from helpers.replicas import difference, in_one_process
from hypothesis import given, settings
from hypothesis import strategies as st

import distrib
from distrib import activations, layers
from distrib.nn.rng import RngKey

KERAS = json.loads((Path(__file__).parent / "keras_layers.json").read_text())
IN_FLOAT32 = ("Dense", "Normalization", "UnitNormalization")  # by Keras on PyTorch, whatever the dtype
F64 = np.dtype(np.float64)
DRAW = RngKey(seed=3, epoch=1, position=5)
RENAMED = {
    "Dense": {"lora_rank", "lora_alpha", "quantization_config", "kernel_constraint", "bias_constraint"}
}


def inputs_for(shapes):
    return [
        np.sin((np.arange(3 * math.prod(shape)) + 0.5) * (1.7 + index)).reshape(3, *shape) * 2
        for index, shape in enumerate(shapes)
    ]


def applied(layer, arrays, draw=None):
    """A built layer's outputs, and its gradients where each output counts with a number of its own."""
    several = layer.takes_several
    shapes = [each.shape[1:] for each in arrays]
    layer.prepare(shapes if several else shapes[0], arrays[0].dtype, 1)
    outputs = layer.forward(list(arrays) if several else arrays[0], draw).copy()
    factors = np.cos(np.arange(outputs.size, dtype=F64)).reshape(outputs.shape).astype(outputs.dtype)
    for variable in layer.variables:
        variable.grad.fill(np.nan)
    gradients = layer.backward(factors.copy())
    return outputs, factors, gradients if several else [gradients]


@pytest.mark.parametrize("name", KERAS["activations"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
def test_activations_are_those_of_keras(name, dtype, tolerance):
    record, (x,) = KERAS["activations"][name], inputs_for([[5]])
    if name == "hard_sigmoid":
        tolerance = max(tolerance, 1e-7)  # its slope is a float32 there
    layer = layers.Activation(name)
    outputs, _, (gradient,) = applied(layer, [x.astype(dtype)])
    np.testing.assert_allclose(outputs, record["output"], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(gradient, record["gradients"][0], rtol=tolerance, atol=tolerance)
    function = getattr(activations, name)
    np.testing.assert_allclose(function(x.astype(dtype)), record["output"], rtol=tolerance, atol=tolerance)
    assert type(activations.get(function)) is type(activations.get(name))


@pytest.mark.parametrize(
    "index", range(len(KERAS["layers"])), ids=lambda i: f"{KERAS['layers'][i]['class']}-{i}"
)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
def test_layers_are_those_of_keras(index, dtype, tolerance):
    record = KERAS["layers"][index]
    if record["dtype"] == "float32" or record["class"] in IN_FLOAT32:
        tolerance = 1e-5
    layer = getattr(layers, record["class"])(**record["arguments"])
    outputs, _, gradients = applied(layer, [x.astype(dtype) for x in inputs_for(record["shapes"])])
    np.testing.assert_allclose(outputs, record["output"], rtol=tolerance, atol=tolerance)
    for mine, theirs in zip(gradients, record["gradients"], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)
    again = layers.registry.from_config(json.loads(json.dumps(layer.get_config())))
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("name", KERAS["signatures"])
def test_arguments_and_defaults_are_those_of_keras(name):
    mine = inspect.signature(getattr(layers, name).__init__).parameters
    for argument, default in KERAS["signatures"][name].items():
        if argument in RENAMED.get(name, ()):
            continue
        assert argument in mine, argument
        own = mine[argument].default
        shown = "None" if default is None and own is mine[argument].empty else repr(own)
        assert shown.lower() == str(default).lower() or str(default) == "None" == repr(own)


@given(
    data=st.data(),
    index=st.integers(0, len(KERAS["layers"]) - 1),
    batch=st.integers(0, 3),
)
@settings(max_examples=120, deadline=None)
def test_gradients_by_central_differences(data, index, batch):
    record = KERAS["layers"][index]
    layer = getattr(layers, record["class"])(**record["arguments"])
    values = st.floats(-2, 2).map(lambda value: round(value, 3) + 0.0004)
    arrays = []
    for shape in record["shapes"]:
        size = batch * math.prod(shape)
        flat = data.draw(st.lists(values, min_size=size, max_size=size))
        # Distinct elements: at ties of a maximum and at zeros of a norm there is no derivative.
        arrays.append(
            (np.array(flat) + 0.013 * np.arange(size) + 0.0071 * len(arrays)).reshape(batch, *shape)
        )
    outputs, factors, gradients = applied(layer, arrays)
    assert outputs.shape == (batch, *layer.output_shape)
    gradients = [each.copy() for each in gradients]
    step = 1e-6
    for array, gradient in zip(arrays, gradients, strict=True):
        assert gradient.shape == array.shape
        flat = array.reshape(-1)
        for position in range(0, flat.size, max(1, flat.size // 4)):
            kept, sides = flat[position], []
            for each in (kept + step, kept - step):
                flat[position] = each
                result = layer.forward(arrays if layer.takes_several else arrays[0], None)
                sides.append(float(np.sum(result * factors)))
            flat[position] = kept
            numeric = (sides[0] - sides[1]) / (2 * step)
            found = gradient.reshape(-1)[position]
            kink = any(abs(abs(kept) - at) < 2e-5 for at in (0.0, 0.2, 0.8))
            assert kink or abs(numeric - found) <= 1e-4 * max(1.0, abs(numeric))


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=6))
def test_sparsemax_is_the_nearest_point_of_the_simplex(row):
    x = np.array([row])
    y = np.asarray(activations.sparsemax(x))
    assert y.min() >= 0
    assert y.sum() == pytest.approx(1)
    # Moving weight from one element to another leads away from x.
    slack = (y - x)[0]
    assert slack[y[0] > 0].max() <= slack.min() + 1e-9


def test_variables_of_layers_have_their_gradients():
    layer = layers.PReLU(alpha_initializer=distrib.initializers.Constant(0.3), shared_axes=[1])
    (x,) = inputs_for([[3, 4]])
    _, factors, _ = applied(layer, [x])
    expected = np.sum(np.minimum(x, 0) * factors, axis=(0, 1), keepdims=True)[0]
    np.testing.assert_allclose(layer.variables[0].grad, expected, rtol=1e-12)
    dense = layers.Dense(2)
    (x,) = inputs_for([[2, 3, 4]])
    _, factors, _ = applied(dense, [x])
    np.testing.assert_allclose(dense.kernel.grad, np.einsum("bijk,biju->ku", x, factors), rtol=1e-12)
    np.testing.assert_allclose(dense.bias.grad, factors.sum(axis=(0, 1, 2)), rtol=1e-12)


def test_normalization_adapts():
    data = np.random.default_rng(0).normal([1.0, -3.0], [2.0, 0.5], (400, 2))
    layer = layers.Normalization()
    layer.adapt(data)
    model = distrib.Sequential([distrib.Input((2,)), layer], dtype="float64")
    outputs = model.predict(data, verbose=0)
    np.testing.assert_allclose(outputs.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(outputs.std(axis=0), 1, rtol=1e-12)
    assert [each.name.rpartition("/")[2] for each in layer.variables] == ["mean", "variance", "count"]
    assert not model.trainable_variables
    layer.adapt(data * 2)
    np.testing.assert_allclose(model.predict(data * 2, verbose=0), outputs, rtol=1e-12)


def test_noise_has_the_moments_of_keras():
    x = np.ones((4000, 5))
    noise = layers.GaussianNoise(0.3, name="noise")
    outputs, _, _ = applied(noise, [x], DRAW)
    assert abs(outputs.mean() - 1) < 0.01
    assert abs(outputs.std() - 0.3) < 0.01
    dropped, _, _ = applied(layers.GaussianDropout(0.2, name="drop"), [x], DRAW)
    assert abs(dropped.std() - 0.5) < 0.01
    np.testing.assert_array_equal(layers.GaussianNoise(0.3)(x), x.astype(np.float32))
    whole = layers.Dropout(0.5, noise_shape=[None, 1, 3], name="d")
    outputs, _, _ = applied(whole, [np.ones((50, 4, 3))], DRAW)
    assert set(np.unique(outputs)) == {0.0, 2.0}
    assert (outputs == outputs[:, :1]).all()


def noisy(strategy):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(26, 4)), rng.normal(size=(26, 2))
    inputs = distrib.Input((4,))
    hidden = layers.GaussianNoise(0.2)(layers.Dense(6, "selu", activity_regularizer="l2")(inputs))
    hidden = layers.PReLU()(layers.GaussianDropout(0.2)(hidden))
    joined = layers.concatenate([hidden, layers.multiply([hidden, layers.Dense(6)(inputs)])])
    outputs = layers.Dense(2)(layers.ActivityRegularization(l1=0.01)(layers.Dropout(0.3)(joined)))
    model = distrib.Model(inputs, outputs, dtype="float64", seed=5)
    model.compile(distrib.optimizers.Adam(0.02), "mse")
    history = model.fit(x, y, batch_size=8, epochs=3, verbose=0, validation_split=0.2)
    return model.get_weights(), history.history


@pytest.mark.parametrize("place", ["mirrored-2", "mirrored-3", "mirrored-4", "central-2", "ps-2"])
def test_random_layers_and_penalties_on_activities_do_not_depend_on_the_replicas(place):
    weights, history = in_one_process(noisy)
    for each in everywhere(place, noisy):
        assert difference(each[0], weights) < 1e-12
        for name, values in history.items():
            np.testing.assert_allclose(each[1][name], values, rtol=1e-12)


def test_the_penalty_on_an_activity_is_a_mean_over_examples():
    x = np.random.default_rng(2).normal(size=(7, 3))
    model = distrib.Sequential(
        [distrib.Input((3,)), layers.Dense(3, "softmax", activity_regularizer=distrib.regularizers.L2(0.5))],
        dtype="float64",
    )
    model.compile("sgd", "categorical_crossentropy")
    targets = np.eye(3)[[0, 1, 2, 0, 1, 2, 0]]
    outputs = model.predict(x, verbose=0)
    expected = -np.mean(np.sum(targets * np.log(outputs), axis=1)) + 0.5 * np.sum(outputs**2) / 7
    assert model.evaluate(x, targets, verbose=0) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: layers.Reshape((5,))(distrib.Input((4,))), "as many elements"),
        (lambda: layers.Reshape((-1, -1)), "one -1"),
        (lambda: layers.Permute((1, 3)), "permutation"),
        (lambda: layers.RepeatVector(0), "n >= 1"),
        (lambda: layers.Add()(distrib.Input((4,))), "at least 2"),
        (lambda: layers.Add()([distrib.Input((4,)), distrib.Input((3,))]), "one shape"),
        (lambda: layers.Subtract()([distrib.Input((4,))] * 3), "expects 2 inputs"),
        (lambda: layers.Concatenate(axis=0), "batch"),
        (lambda: layers.Concatenate()([distrib.Input((2, 3)), distrib.Input((3, 3))]), "axis -1"),
        (lambda: layers.Dot(axes=1)([distrib.Input((2,)), distrib.Input((3,))]), "of one size"),
        (lambda: layers.Normalization(mean=1.0), "both"),
        (lambda: layers.Normalization(mean=1.0, variance=1.0).adapt(np.ones(3)), "Do not call adapt"),
        (lambda: layers.GaussianNoise(2.0), r"\[0, 1\]"),
        (lambda: layers.Softmax(axis=1)(distrib.Input((2, 3))), "last axis"),
        (lambda: layers.Dense(3, dtype="float16"), "float16"),
        (lambda: layers.Dense(3, unit=4), "no argument unit"),
        (lambda: layers.registry.from_config(layers.Lambda(abs).get_config()), "built-in layer"),
    ],
)
def test_what_does_not_fit_is_a_sentence(make, match):
    with pytest.raises(distrib.DistribError, match=match):
        make()


def test_an_activation_of_ones_own_is_the_built_in_one():
    x, y = np.random.default_rng(0).normal(size=(12, 3)), np.zeros((12, 2))

    def trained(activation):
        model = distrib.Sequential(
            [distrib.Input((3,)), layers.Dense(4, activation), layers.Dense(2)], dtype="float64", seed=1
        )
        model.compile("sgd", "mse")
        model.fit(x, y, batch_size=5, epochs=2, verbose=0)
        return model.get_weights()

    for own, expected in zip(trained(lambda z: np.tanh(z)), trained("tanh"), strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-12)
    with pytest.raises(distrib.ShapeError, match="An activation returns"):
        trained(lambda z: z[:, :1])


def test_a_function_of_ones_own():
    x, y = np.random.default_rng(0).normal(size=(12, 3)), np.zeros((12, 1))
    model = distrib.Sequential([distrib.Input((3,)), layers.Lambda(lambda x: x[:, :2] ** 2), layers.Dense(1)])
    assert model.output_shape == (None, 1)
    model.compile("sgd", "mse")
    model.predict(x, verbose=0)
    above = distrib.Sequential([distrib.Input((3,)), layers.Dense(2), layers.Lambda(np.tanh)])
    above.compile("sgd", "mse")
    np.testing.assert_allclose(above.predict(x, verbose=0), np.tanh(above.layers[0](x)), rtol=1e-5)
    before = above.get_weights()
    above.train_on_batch(x, np.zeros((12, 2)))
    assert not np.array_equal(above.get_weights()[0], before[0]), "it is trained through"
    strange = distrib.Sequential(
        [distrib.Input((3,)), layers.Dense(2), layers.Lambda(lambda x: np.kron(x, x)[: len(x)])]
    )
    strange.compile("sgd", "mse")
    with pytest.raises(distrib.ConfigError, match=r"numpy\.kron has no gradient"):
        strange.train_on_batch(x, np.zeros((12, 4)))
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), np.mean(model(x) ** 2), rtol=1e-5)


def test_shapes_as_keras_takes_them():
    for arguments in ({"input_dim": 4}, {"input_shape": (4,)}, {"batch_input_shape": (None, 4)}):
        model = distrib.Sequential([layers.Dense(2, **arguments)])
        assert model.output_shape == (None, 2)


def test_a_layer_is_built_alone_as_in_keras():
    first, second = layers.Dense(3), layers.Dense(3)
    for layer in (first, second):
        layer.build((None, 4))
    second.set_weights(first.get_weights())
    np.testing.assert_array_equal(first.kernel.numpy(), second.kernel.numpy())
    assert first.kernel.shape == (4, 3)
    first.build((None, 4))
    np.testing.assert_array_equal(first.kernel.numpy(), second.kernel.numpy())
    concatenated = layers.Concatenate()
    concatenated.build([(None, 4), (None, 2)])
    assert concatenated.output_shape == (6,)


def test_an_initializer_of_ones_own():
    def rising(shape, dtype=None):
        return np.arange(np.prod(shape), dtype=dtype).reshape(shape)

    dense = layers.Dense(2, kernel_initializer=rising, bias_initializer=distrib.initializers.Ones)
    dense.build((None, 3))
    assert dense.kernel.numpy().tolist() == [[0, 1], [2, 3], [4, 5]]
    assert dense.bias.numpy().tolist() == [1, 1]
    with pytest.raises(distrib.ShapeError, match=r"returns shape \(3, 2\)\. Received: \(2,\)"):
        layers.Dense(2, kernel_initializer=lambda shape, dtype=None: np.ones(2)).build((None, 3))
