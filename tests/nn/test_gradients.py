"""Gradients against finite differences in float64, of losses and of whole networks."""

import numpy as np
import pytest

from distrib import activations, layers, losses, regularizers
from distrib.base.ranges import Range, split
from distrib.nn.graph.graph import Graph
from distrib.nn.network import Network
from distrib.nn.objective import Objective
from distrib.nn.rng import RngKey

F64 = np.dtype(np.float64)
DRAW = RngKey(seed=3, epoch=1, position=5)
STEP = 1e-6


def numeric(function, values):
    """The gradient of `function()` with respect to the array `values`, by central differences."""
    gradient, flat = np.empty(values.size), values.reshape(-1)
    for index in range(values.size):
        kept = flat[index]
        flat[index] = kept + STEP
        above = function()
        flat[index] = kept - STEP
        gradient[index] = (above - function()) / (2 * STEP)
        flat[index] = kept
    return gradient.reshape(values.shape)


def targets_for(loss, shape, rng):
    if isinstance(loss, losses.SparseCategoricalCrossentropy):
        return rng.integers(0, shape[-1], shape[:-1])
    if isinstance(loss, losses.CategoricalCrossentropy):
        return rng.dirichlet(np.ones(shape[-1]), shape[:-1])
    if isinstance(loss, losses.BinaryCrossentropy):
        return rng.integers(0, 2, shape).astype(np.float64)
    return rng.normal(size=shape)


LOSSES = [
    losses.MeanSquaredError(),
    losses.MeanAbsoluteError(),
    losses.BinaryCrossentropy(),
    losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
    losses.BinaryCrossentropy(label_smoothing=0.1),
    losses.CategoricalCrossentropy(),
    losses.CategoricalCrossentropy(label_smoothing=0.3),
    losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.3),
    losses.SparseCategoricalCrossentropy(),
    losses.SparseCategoricalCrossentropy(from_logits=True),
]


@pytest.mark.parametrize("shape", [(5, 3), (4, 2, 3)])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: f"{type(loss).__name__}-{loss.from_logits}")
def test_loss_gradient(loss, shape):
    rng = np.random.default_rng(0)
    y_pred = rng.normal(size=shape) if loss.from_logits else rng.uniform(0.1, 0.9, shape)
    y_true = loss.prepare(targets_for(loss, shape, rng), shape[1:], F64)
    loss.forward(y_true, y_pred)
    gradient = loss.backward(y_true, y_pred).copy()
    expected = numeric(lambda: float(loss.forward(y_true, y_pred).sum()), y_pred)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


def named(network_layers):
    return {layer.name: layer for layer in network_layers}


def check_network(network, loss, weighted=False):
    rng = np.random.default_rng(7)
    # Biases of 0 put many relu inputs of dropped rows on the kink; move them off it.
    network.buffer.values += rng.normal(0, 0.1, network.buffer.size)
    objective = Objective(network.output_layers[0], loss, [], [])
    x = rng.normal(size=(6, *network.input_shape))
    y = loss.prepare(targets_for(loss, (6, *network.output_shape), rng), network.output_shape, F64)
    weight = rng.uniform(0, 2, 6) if weighted else None
    whole = Range(0, network.buffer.size)

    def value():
        return network.train_on(x, y, weight, DRAW, objective).loss + 6 * network.penalties(whole)

    expected = numeric(value, network.buffer.values)
    network.buffer.grads.fill(np.nan)  # backward overwrites
    value()
    for part in split(network.buffer.size, 3):
        network.penalties.add_gradient(part, 6.0)
    np.testing.assert_allclose(network.buffer.grads, expected, rtol=1e-5, atol=1e-7)
    assert np.abs(expected).max() > 1e-3


def body(activation):
    return [
        layers.Dropout(0.3, name="drop"),
        layers.Flatten(name="flat"),
        layers.Dense(5, activation=activation, kernel_regularizer=regularizers.L2(0.03), name="first"),
        layers.Dropout(0.4, name="drop_1"),
        layers.Dense(
            4,
            activation=activation,
            kernel_regularizer=regularizers.L1(0.02),
            bias_regularizer=regularizers.L1L2(0.01, 0.04),
            name="second",
        ),
        layers.Activation(activation, name="act"),
        layers.Dense(3, use_bias=False, name="last"),
    ]


ACTIVATIONS = [
    activations.Linear,
    activations.Relu,
    activations.LeakyRelu,
    activations.Elu,
    activations.Gelu,
    lambda: activations.Gelu(approximate=True),
    activations.Tanh,
    activations.Sigmoid,
    activations.Softmax,
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("index", range(len(ACTIVATIONS)))
def test_network_gradient(index, weighted):
    # an activation object for each layer: they have scratch memory
    network_layers = body("linear")
    for layer in network_layers:
        if layer.name in ("first", "second", "act"):
            layer.activation = ACTIVATIONS[index]()
    check_network(
        Network(Graph.chain(named(network_layers), (2, 3)), F64, 1), losses.MeanSquaredError(), weighted
    )


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("softmax", losses.SparseCategoricalCrossentropy()),
        ("softmax", losses.CategoricalCrossentropy(label_smoothing=0.1)),
        ("sigmoid", losses.BinaryCrossentropy(label_smoothing=0.1)),
        ("linear", losses.SparseCategoricalCrossentropy(from_logits=True)),
        ("linear", losses.BinaryCrossentropy(from_logits=True)),
        ("linear", losses.MeanAbsoluteError()),
    ],
)
def test_network_gradient_by_loss(activation, loss):
    ends = layers.Dense(3, activation=activation, name="out")
    network = Network(Graph.chain(named([*body("tanh"), ends]), (2, 3)), F64, 2)
    check_network(network, loss, weighted=True)


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("softmax", losses.SparseCategoricalCrossentropy()),
        ("softmax", losses.CategoricalCrossentropy()),
        ("softmax", losses.CategoricalCrossentropy(label_smoothing=0.2)),
        ("sigmoid", losses.BinaryCrossentropy()),
        ("sigmoid", losses.BinaryCrossentropy(label_smoothing=0.2)),
    ],
)
@pytest.mark.parametrize("as_layer", [False, True])
def test_fused_equals_unfused(activation, loss, as_layer):
    if as_layer:
        ends = [layers.Dense(4, name="out"), layers.Activation(activation, name="act")]
    else:
        ends = [layers.Dense(4, activation=activation, name="out")]
    network = Network(
        Graph.chain(named([layers.Dense(5, activation="tanh", name="first"), *ends]), (3,)), F64, 4
    )
    rng = np.random.default_rng(1)
    x, weight = rng.normal(size=(7, 3)), rng.uniform(0.1, 2, 7)
    y = loss.prepare(targets_for(loss, (7, 4), rng), (4,), F64)
    objective = Objective(network.output_layers[0], loss, [], [])
    assert objective.fused_layer is network.layers[-1]
    fused = network.train_on(x, y, weight, DRAW, objective).loss
    fused_grads = network.buffer.grads.copy()
    objective.fused_layer, objective.loss = None, loss
    unfused = network.train_on(x, y, weight, DRAW, objective).loss
    assert fused == pytest.approx(unfused, rel=1e-9)
    np.testing.assert_allclose(fused_grads, network.buffer.grads, rtol=1e-9, atol=1e-12)


def test_frozen_layers_have_no_gradient_and_the_others_the_same():
    def make(frozen):
        first, second = layers.Dense(4, "tanh", name="a"), layers.Dense(2, name="b")
        return Network(Graph.chain(named([first, second]), (3,)), F64, 0, frozen=("a",) if frozen else ())

    x, y = np.random.default_rng(2).normal(size=(5, 3)), np.zeros((5, 2))
    grads = []
    for frozen in (False, True):
        network = make(frozen)
        network.train_on(x, y, None, DRAW, Objective(network.layers[-1], losses.MeanSquaredError(), [], []))
        grads.append(network.buffer.grads)
    assert grads[1].size == 4 * 2 + 2
    np.testing.assert_array_equal(grads[0][-grads[1].size :], grads[1])


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: f"{type(loss).__name__}-{loss.from_logits}")
def test_empty_batch_has_zero_gradient(loss):
    network = Network(Graph.chain(named([layers.Dense(3, name="only")]), (2,)), F64, 0)
    y = loss.prepare(targets_for(loss, (0, 3), np.random.default_rng(0)), (3,), F64)
    network.buffer.grads.fill(np.nan)
    batch_sums = network.train_on(
        np.empty((0, 2)), y, None, DRAW, Objective(network.layers[-1], loss, [], [])
    )
    assert (batch_sums.count, batch_sums.loss) == (0, 0)
    assert not network.buffer.grads.any()
