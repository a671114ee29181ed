"""Owners of whole tensors: borders that are moved, and trainings that stay exact."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from helpers.ps import on_workers
from helpers.replicas import KINDS, difference, in_one_process, on_replicas
from hypothesis import given
from hypothesis import strategies as st

import distrib
from distrib.base.errors import ConfigError
from distrib.base.ranges import cut_at
from distrib.nn import constraints
from distrib.nn.optimizers import SGD, Adam, Lamb

rng = np.random.default_rng(3)
X, Y = rng.normal(size=(37, 6)), rng.integers(0, 3, 37)


@given(st.lists(st.integers(1, 50), min_size=0, max_size=9), st.integers(1, 12))
def test_ranges_are_consecutive_and_cut_at_borders(sizes, count):
    borders = [0, *np.cumsum(sizes).tolist()]
    ranges = cut_at(borders, count)
    assert len(ranges) == count
    assert ranges[0].begin == 0
    assert ranges[-1].end == borders[-1]
    assert all(a.end == b.begin and a.size >= 0 for a, b in pairwise(ranges))
    assert {each.begin for each in ranges} <= set(borders)


def made(optimizer, **limits):
    layers = [
        distrib.layers.Dense(5, "tanh", input_shape=(6,), **limits),
        distrib.layers.PReLU(alpha_initializer="ones", alpha_constraint=constraints.MaxNorm(0.9)),
        distrib.layers.Dense(4, "tanh", kernel_constraint=constraints.MaxNorm(0.8, axis=0)),
        distrib.layers.Dense(3, "softmax", bias_constraint="non_neg"),
    ]
    model = distrib.Sequential(layers, dtype="float64", seed=4)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def constrained(strategy):
    model = made(Adam(0.05), kernel_constraint=constraints.UnitNorm(), bias_constraint="non_neg")
    model.fit(X, Y, batch_size=10, epochs=4, verbose=0)
    return model.get_weights()


def in_turns(strategy, batches=True):
    """Models of one size, one of which needs whole tensors and one of which does not."""
    plain = distrib.Sequential(
        [distrib.layers.Dense(5, "tanh", input_shape=(6,)), distrib.layers.Dense(3, "softmax")],
        dtype="float64",
        seed=4,
    )
    whole = distrib.Sequential(
        [distrib.layers.Dense(5, "tanh", input_shape=(6,)), distrib.layers.Dense(3, "softmax")],
        dtype="float64",
        seed=5,
    )
    plain.compile(Adam(0.05), "sparse_categorical_crossentropy")
    whole.compile(Lamb(0.05), "sparse_categorical_crossentropy")
    for _ in range(3):
        for model in (plain, whole):
            if batches:
                model.train_on_batch(X[:11], Y[:11])
        for model in (plain, whole):
            model.fit(X, Y, batch_size=10, epochs=1, verbose=0)
    return plain.get_weights() + whole.get_weights()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_replicas", [2, 4])
@pytest.mark.parametrize("body", [constrained, in_turns])
def test_replicas_train_what_one_process_trains(body, num_replicas, kind):
    weights = in_one_process(body)
    for others in on_replicas(num_replicas, body, kind=kind):
        assert difference(others, weights) <= 1e-12


def test_the_constraints_hold():
    first, first_bias, alpha, second, _, _, last_bias = in_one_process(constrained)
    assert np.linalg.norm(alpha) <= 0.9 + 1e-6
    np.testing.assert_allclose(np.linalg.norm(first, axis=0), 1, rtol=1e-6)
    assert (np.linalg.norm(second, axis=0) <= 0.8 + 1e-9).all()
    assert first_bias.min() >= 0
    assert last_bias.min() >= 0


@pytest.mark.parametrize("num_ps", [1, 2, 3])
@pytest.mark.parametrize("body", [constrained, partial(in_turns, batches=False)])
def test_parameter_servers_do_not_cut_tensors(body, num_ps):
    weights = in_one_process(body)
    for others in on_workers(2, body, num_ps=num_ps):
        assert difference(others, weights) <= 1e-12


def test_more_parameter_servers_than_tensors():
    def body(strategy):
        model = distrib.Sequential(
            [
                distrib.layers.Dense(5, use_bias=False, input_shape=(6,)),
                distrib.layers.Dense(3, use_bias=False),
            ]
        )
        model.compile(SGD(clipnorm=1.0), "mse")
        model.fit(X, np.zeros((len(X), 3)), verbose=0)

    with pytest.raises(ConfigError, match="3 ps are too many for tensors that are not cut"):
        on_workers(1, body, num_ps=3)


def test_a_training_goes_on_with_another_number_of_replicas(tmp_path):
    def whole(strategy):
        model = made(Lamb(0.05))
        model.fit(X, Y, batch_size=10, epochs=4, verbose=0)
        return model.get_weights()

    def first(strategy):
        model = made(Lamb(0.05))
        model.fit(X, Y, batch_size=10, epochs=2, verbose=0)
        model.save(tmp_path / "saved")

    def second(strategy):
        model = distrib.load_model(tmp_path / "saved")
        model.fit(X, Y, batch_size=10, epochs=4, initial_epoch=2, verbose=0)
        return model.get_weights()

    on_replicas(3, first)
    for others in on_replicas(2, second):
        assert difference(others, in_one_process(whole)) <= 1e-12
