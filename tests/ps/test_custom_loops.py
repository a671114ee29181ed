"""Loops of one's own around parameter servers: each worker a thread, real servers."""

import threading
import time

import numpy as np
import pytest
from helpers.ps import nothing_is_staged, on_workers
from helpers.replicas import difference, in_one_process

import distrib
import distrib.tf as tf
from distrib import keras
from distrib.keras import layers

BATCH = 12


def data():
    rng = np.random.default_rng(2)
    return rng.normal(size=(36, 5)), rng.integers(0, 3, 36)


def rows_of(strategy, step):
    """This worker's part of the batch of a step."""
    n, worker = strategy.num_replicas_in_sync, strategy.replica_id
    cuts = np.linspace(0, BATCH, n + 1).astype(int)
    begin = step % 3 * BATCH
    return slice(begin + cuts[worker], begin + cuts[worker + 1])


class Loop:
    """Variables, one optimizer, and the step over them."""

    def __init__(self, strategy, optimizer=None):
        rng = np.random.default_rng(0)
        self.x, self.y = data()
        self.strategy, self.optimizer = strategy, optimizer or keras.optimizers.Adam(0.02)
        shapes = (5, 8), (8,), (8, 3), (3,)
        self.variables = [distrib.Variable(rng.normal(size=shape)) for shape in shapes]

    def loss(self, x, y, global_batch_size):
        w1, b1, w2, b2 = self.variables
        logits = tf.matmul(tf.nn.tanh(x @ w1 + b1), w2) + b2
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
        return tf.nn.compute_average_loss(losses, global_batch_size=global_batch_size)

    def step(self, rows, global_batch_size=BATCH):
        with tf.GradientTape() as tape:
            loss = self.loss(self.x[rows], self.y[rows], global_batch_size)
        gradients = tape.gradient(loss, self.variables)
        self.optimizer.apply_gradients(zip(gradients, self.variables, strict=True))

    def run(self, steps):
        for step in steps:
            self.strategy.run(self.step, args=(rows_of(self.strategy, step),))

    def values(self):
        return [each.numpy() for each in self.variables]


def at_the_end_of_the_script(strategy):
    """The chief waits for the others. `on_workers` closes its strategy only when all are through."""
    if strategy.is_chief:
        strategy.join()
    return strategy


def nine_steps(strategy):
    loop = Loop(strategy)
    loop.run(range(9))
    return loop.values(), int(loop.optimizer.iterations)


@pytest.mark.parametrize("num_ps", [1, 2])
@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_sync_trains_what_one_process_trains(num_workers, num_ps):
    expected, iterations = in_one_process(nine_steps)
    for found in on_workers(num_workers, nine_steps, num_ps, look=nothing_is_staged):
        assert difference(found[0], expected) < 1e-12
        assert found[1] == iterations == 9


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_loops_with_evaluation_and_fit_between_them(num_workers):
    """Workers wait for each other after a loop, so what comes next has the values of all steps."""

    def body(strategy):
        x, y = data()
        model = keras.Sequential(
            [layers.Input((5,)), layers.Dense(3, activation="softmax")], dtype="float64", seed=1
        )
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        optimizer, loss = (
            keras.optimizers.Adam(0.05),
            keras.losses.SparseCategoricalCrossentropy(reduction="sum"),
        )
        seen = []
        for round_ in range(2):
            for step in range(3):
                rows = rows_of(strategy, step)
                with tf.GradientTape() as tape:
                    value = loss(y[rows], model(x[rows], training=True)) / BATCH
                gradients = tape.gradient(value, model.trainable_variables)
                optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            seen.append(model.evaluate(x, y, batch_size=9, verbose=0))
            if not round_:
                model.fit(x, y, epochs=1, batch_size=BATCH, shuffle=False, verbose=0)
        return seen, model.get_weights(), int(optimizer.iterations)

    losses, weights, iterations = in_one_process(body)
    assert iterations == 6
    for found in on_workers(num_workers, body, num_ps=2, look=nothing_is_staged):
        np.testing.assert_allclose(found[0], losses, rtol=1e-12)
        assert difference(found[1], weights) < 1e-12
        assert found[2] == iterations


@pytest.mark.parametrize("num_ps", [1, 2])
def test_async_applies_every_gradient(num_ps):
    """Whatever the pace of the workers, the sum of all gradients has been subtracted when all have left the loop."""

    def body(strategy):
        w = distrib.Variable(np.zeros(4))
        optimizer = keras.optimizers.SGD(1.0)
        for _ in range(10):
            if strategy.replica_id == 1:
                time.sleep(0.01)
            optimizer.apply_gradients([(np.full(4, 10.0**strategy.replica_id), w)])
        return strategy

    def look(servers):
        nothing_is_staged(servers)
        assert servers[0].inspect().sequencer.version == 30
        for server in servers:
            np.testing.assert_array_equal(server.inspect().values, -10 * 111.0)

    chief = on_workers(3, body, num_ps, mode="async", look=look)[0]
    counters = chief.counters
    assert (counters["pushed"], counters["applied"], counters["dropped"]) == (30, 30, 0)
    assert [each["applied"] for each in counters["workers"].values()] == [10, 10, 10]


def test_async_drops_stale_gradients_and_counts_them():
    def body(strategy):
        w = distrib.Variable(np.zeros(4))
        optimizer = keras.optimizers.SGD(1.0)
        for _ in range(20):
            if strategy.replica_id:
                time.sleep(0.02)
            optimizer.apply_gradients([(np.ones(4), w)])
        return strategy

    def look(servers):
        found = servers[0].inspect()
        np.testing.assert_array_equal(found.values, -float(found.sequencer.counts.applied))

    options = {"mode": "async", "staleness": distrib.DropStale(0), "look": look}
    counters = on_workers(2, body, **options)[0].counters
    assert counters["pushed"] == 40
    assert counters["dropped"] + counters["applied"] == 40
    assert 0 < counters["dropped"] <= 20


def test_sync_with_a_backup_worker_goes_on_without_the_slowest():
    """A gradient that is left out is made up for by the others: the mean of the gradients stays that of all."""
    late = threading.Event()

    def body(strategy):
        w = distrib.Variable(np.zeros(4))
        optimizer = keras.optimizers.SGD(1.0)
        for step in range(6):
            if strategy.replica_id == 2 and step == 2:
                late.wait(10)
            optimizer.apply_gradients([(np.full(4, 1 / 3), w)])
        if strategy.replica_id == 0:
            late.set()
        return at_the_end_of_the_script(strategy)

    def look(servers):
        found = servers[0].inspect()
        np.testing.assert_allclose(found.values, -float(found.sequencer.version), rtol=1e-12)
        nothing_is_staged(servers)

    chief = on_workers(3, body, num_backup_workers=1, look=look)[0]
    assert late.is_set()
    assert chief.counters["dropped"] >= 1
    assert chief.counters["updates"] >= 6


def test_workers_with_different_numbers_of_steps_all_come_to_the_end():
    """The one that has more makes the last updates alone; of an update that is not complete nothing is left."""

    def body(strategy):
        w = distrib.Variable(np.zeros(4))
        optimizer = keras.optimizers.SGD(1.0)
        for _ in range(4 + 3 * strategy.replica_id):
            optimizer.apply_gradients([(np.full(4, 0.5), w)])
        return at_the_end_of_the_script(strategy)

    def look(servers):
        nothing_is_staged(servers)
        np.testing.assert_array_equal(servers[0].inspect().values, -5.0)

    counters = on_workers(2, body, look=look)[0].counters
    assert (counters["pushed"], counters["applied"], counters["dropped"]) == (11, 10, 1)


def test_a_worker_that_fails_does_not_stop_the_others():
    def body(strategy):
        w = distrib.Variable(np.zeros(4))
        optimizer = keras.optimizers.SGD(1.0)
        for step in range(6):
            if strategy.replica_id == 1 and step == 2:
                strategy.close("it has failed")
                return None
            optimizer.apply_gradients([(np.full(4, 0.5), w)])
        return w.numpy(), strategy

    (values, strategy), _ = on_workers(2, body, look=nothing_is_staged)
    updates = strategy.counters["updates"]
    assert updates == 4, "2 with both, and then 2 steps of one worker are an update"
    np.testing.assert_array_equal(values, -4.0)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3)])
def test_a_loop_goes_on_from_a_checkpoint(tmp_path, before, after):
    def body(strategy, steps, folder, restores):
        loop = Loop(strategy)
        step = distrib.Variable(0, trainable=False)
        named = {f"w{index}": each for index, each in enumerate(loop.variables)}
        checkpoint = tf.train.Checkpoint(optimizer=loop.optimizer, step=step, **named)
        manager = tf.train.CheckpointManager(checkpoint, folder, max_to_keep=2)
        if restores:
            checkpoint.restore(manager.latest_checkpoint)
            assert int(step) == 2
        while int(step) < steps:
            loop.run([int(step)])
            step.assign_add(1)
        manager.save()
        return loop.values()

    expected = in_one_process(lambda s: body(s, 5, tmp_path / "whole", False))
    on_workers(before, lambda s: body(s, 2, tmp_path / "parts", False))
    for found in on_workers(after, lambda s: body(s, 5, tmp_path / "parts", True)):
        assert difference(found, expected) < 1e-12


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_two_optimizers_in_turn_are_an_error(mode):
    def body(strategy):
        v, w = distrib.Variable(np.zeros(4)), distrib.Variable(np.zeros(4))
        first, second = keras.optimizers.SGD(1.0), keras.optimizers.SGD(1.0)
        first.apply_gradients([(np.ones(4), v)])
        second.apply_gradients([(np.ones(4), w)])
        with pytest.raises(distrib.ConfigError, match="one optimizer updates all variables"):
            first.apply_gradients([(np.ones(4), v)])

    on_workers(2, body, mode=mode)


def test_what_a_loop_cannot_do_is_an_error():
    def prefetch(strategy):
        with pytest.raises(distrib.ConfigError, match="Received: prefetch=True"):
            keras.optimizers.SGD(1.0).apply_gradients([(np.ones(4), distrib.Variable(np.zeros(4)))])

    on_workers(1, prefetch, mode="async", prefetch=True)

    def combined(strategy):
        with pytest.raises(distrib.ConfigError, match="skip_gradients_aggregation"):
            keras.optimizers.SGD(1.0).apply_gradients(
                [(np.ones(4), distrib.Variable(np.zeros(4)))], skip_gradients_aggregation=True
            )

    on_workers(1, combined)
