"""Every optimizer under every strategy: n replicas train what one process trains, and a saved training goes on."""

import numpy as np
import pytest
from helpers.optimizers import OPTIMIZERS
from helpers.ps import on_workers
from helpers.replicas import difference, in_one_process, on_replicas

import distrib

rng = np.random.default_rng(3)
X, Y = rng.normal(size=(37, 6)), rng.integers(0, 3, 37)


def made(name):
    layers = [
        distrib.layers.Dense(5, activation="tanh", input_shape=(6,)),
        distrib.layers.Dense(3, "softmax"),
    ]
    model = distrib.Sequential(layers, dtype="float64", seed=4)
    model.compile(OPTIMIZERS[name](), "sparse_categorical_crossentropy")
    return model


def training(name, epochs=4):
    def body(strategy):
        model = made(name)
        history = model.fit(X, Y, batch_size=10, epochs=epochs, verbose=0)
        return model.get_weights(), history.history["loss"]

    return body


@pytest.mark.parametrize("kind", ["shared_memory", "ring"])
@pytest.mark.parametrize("num_replicas", [2, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_replicas_train_what_one_process_trains(name, num_replicas, kind):
    weights, losses = in_one_process(training(name))
    for others, other_losses in on_replicas(num_replicas, training(name), kind=kind):
        assert difference(others, weights) <= 1e-12
        np.testing.assert_allclose(other_losses, losses, rtol=1e-9)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_synchronous_parameter_servers_train_what_one_process_trains(name):
    weights, losses = in_one_process(training(name))
    for others, other_losses in on_workers(2, training(name), num_ps=2):
        assert difference(others, weights) <= 1e-12
        np.testing.assert_allclose(other_losses, losses, rtol=1e-9)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_saved_training_goes_on_with_the_same_bits(name, tmp_path):
    whole = made(name)
    whole.fit(X, Y, batch_size=10, epochs=4, verbose=0, shuffle=False)
    first = made(name)
    first.fit(X, Y, batch_size=10, epochs=2, verbose=0, shuffle=False)
    first.save(tmp_path / "saved")
    second = distrib.load_model(tmp_path / "saved")
    assert type(second.optimizer) is type(whole.optimizer)
    assert second.optimizer.get_config() == first.optimizer.get_config()
    second.fit(X, Y, batch_size=10, epochs=4, initial_epoch=2, verbose=0, shuffle=False)
    for ours, theirs in zip(second.get_weights(), whole.get_weights(), strict=True):
        assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_model_that_was_not_trained_is_saved_with_the_slots_that_training_begins_with(name, tmp_path):
    model, saved = made(name), made(name)
    saved.save(tmp_path / "saved")
    again = distrib.load_model(tmp_path / "saved")
    for each in (model, again):
        each.fit(X, Y, batch_size=10, epochs=2, verbose=0, shuffle=False)
    assert difference(again.get_weights(), model.get_weights()) == 0
