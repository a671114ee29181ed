"""Several models, or several optimizers, trained one after the other by one job with parameter servers."""

import logging

import numpy as np
import pytest
from helpers.ps import on_workers
from helpers.replicas import difference, in_one_process

import distrib
from distrib.base.ranges import Range
from distrib.nn.optimizers import Adam
from distrib.nn.schedules import InverseTimeDecay
from distrib.ps.policy.order.shard import MOST_TRAININGS, Shard

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(24, 4)), rng.integers(0, 3, 24)


def made(seed, *hidden, rate=0.1):
    layers = [distrib.layers.Dense(units, "tanh") for units in hidden]
    model = distrib.Sequential(
        [distrib.Input((4,)), *layers, distrib.layers.Dense(3, "softmax")], dtype="float64", seed=seed
    )
    compiled(model, rate)
    return model


def compiled(model, rate=0.1):
    model.compile(Adam(rate), "sparse_categorical_crossentropy")


def in_turns_of_one_shape(strategy):
    first, second = made(1), made(2, rate=InverseTimeDecay(0.1, 1, 0.5))
    return fitted_in_turns(first, second)


def in_turns_of_two_shapes(strategy):
    return fitted_in_turns(made(1), made(2, 5))


def fitted_in_turns(*models):
    for _ in range(3):
        for model in models:
            model.fit(X, Y, batch_size=12, verbose=0)
    assert [model.optimizer.iterations for model in models] == [6] * len(models)
    return [weights for model in models for weights in model.get_weights()]


def compiled_anew(strategy):
    model = made(1, 5)
    model.fit(X, Y, batch_size=12, epochs=2, verbose=0)
    compiled(model, InverseTimeDecay(0.1, 1, 0.5))
    model.fit(X, Y, batch_size=12, epochs=2, verbose=0)
    assert model.optimizer.iterations == 4
    return model.get_weights()


def fitted_again_with_a_constraint(strategy):
    """The second `fit` goes on with the moments of the first."""
    layer = distrib.layers.Dense(3, "softmax", kernel_constraint="max_norm")
    model = distrib.Sequential([distrib.Input((4,)), layer], dtype="float64", seed=1)
    compiled(model)
    for _ in range(3):
        model.fit(X, Y, batch_size=12, verbose=0)
    return model.get_weights()


def frozen_at_first(strategy):
    model = made(1, 5)
    model.layers[0].trainable = False
    compiled(model)
    model.fit(X, Y, batch_size=12, epochs=2, verbose=0)
    model.layers[0].trainable = True
    compiled(model, 0.01)
    model.fit(X, Y, batch_size=12, epochs=2, verbose=0)
    return model.get_weights()


@pytest.mark.parametrize("num_ps", [1, 2])
@pytest.mark.parametrize(
    "body",
    [
        in_turns_of_one_shape,
        in_turns_of_two_shapes,
        compiled_anew,
        frozen_at_first,
        fitted_again_with_a_constraint,
    ],
)
def test_each_training_has_a_state_of_its_own(body, num_ps):
    weights = in_one_process(body)
    for others in on_workers(2, body, num_ps=num_ps):
        assert difference(others, weights) <= 1e-12


def test_a_state_that_is_gone_is_missed_aloud(caplog):
    shard = Shard(0, 1)

    def description(training):
        return {
            "size": 3,
            "dtype": "float64",
            "optimizer": Adam(0.1).get_config(),
            "penalties": [],
            "layout": [["a", *Range(0, 3)]],
            "training": training,
        }

    with caplog.at_level(logging.WARNING, "distrib"):
        for training in range(MOST_TRAININGS + 1):
            shard.prepare(description(training))
        shard.prepare(description(1))
        assert not caplog.records
        shard.prepare(description(0))
    assert "training 0 of the script, which goes on" in caplog.text
