"""Every optimizer under every strategy: n replicas train what one process trains, and a saved training goes on."""

import numpy as np
import pytest
from helpers.optimizers import OPTIMIZERS
from helpers.ps import on_workers
from helpers.replicas import difference, in_one_process, on_replicas

import distrib
from distrib.ps.policy.order.shard import Shard

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


def scheduled(epochs=4, initial_epoch=0, folder=None):
    def body(strategy):
        warm_up = distrib.optimizers.schedules.CosineDecay(
            0.001, decay_steps=10, alpha=0.1, warmup_target=0.1, warmup_steps=4
        )
        layers = [distrib.layers.Dense(5, "tanh", input_shape=(6,)), distrib.layers.Dense(3, "softmax")]
        model = distrib.Sequential(layers, dtype="float64", seed=4)
        model.compile(distrib.optimizers.Adam(warm_up), "sparse_categorical_crossentropy")
        if initial_epoch:
            model = distrib.load_model(folder)
        rates = []
        note = distrib.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: rates.append(model.optimizer.learning_rate)
        )
        model.fit(
            X,
            Y,
            batch_size=10,
            epochs=epochs,
            initial_epoch=initial_epoch,
            verbose=0,
            shuffle=False,
            callbacks=[note],
        )
        if folder is not None and not initial_epoch:
            model.save(folder)
        return model.get_weights(), rates

    return body


@pytest.mark.parametrize("num_replicas", [2, 3])
def test_a_schedule_with_warm_up_is_exact_over_replicas_and_parameter_servers(num_replicas):
    weights, rates = in_one_process(scheduled())
    assert len(set(rates)) > 10, "the rate follows the schedule"
    everywhere = on_replicas(num_replicas, scheduled()) + on_workers(num_replicas, scheduled(), num_ps=2)
    assert len(everywhere) == 2 * num_replicas
    for others, other_rates in everywhere:
        assert difference(others, weights) <= 1e-12
        assert other_rates[-1] == rates[-1]


def test_a_saved_schedule_goes_on_with_the_same_bits(tmp_path):
    whole, rates = in_one_process(scheduled())
    _, first_rates = in_one_process(scheduled(2, folder=tmp_path / "saved"))
    second, second_rates = in_one_process(scheduled(4, 2, tmp_path / "saved"))
    assert first_rates + second_rates == rates
    assert difference(second, whole) == 0


def test_asynchronous_parameter_servers_update_with_the_rates_of_the_schedule(monkeypatch):
    """Those of the chief's last push: the first ones of the warm-up, and none but the schedule's."""
    apply, rates = Shard.apply, []

    def noted(shard, entry):
        rates.append(entry.learning_rate)
        apply(shard, entry)

    monkeypatch.setattr(Shard, "apply", noted)
    on_workers(2, scheduled(), mode="async")
    schedule = distrib.optimizers.schedules.CosineDecay(
        0.001, decay_steps=10, alpha=0.1, warmup_target=0.1, warmup_steps=4
    )
    possible = {float(f"{schedule(step):.12g}") for step in range(len(rates))}
    assert len(rates) == 16
    assert rates[0] == 0.001
    assert len(set(rates)) > 3
    assert set(rates) <= possible
