"""Buckets reduced while backward goes on, and float16 on the wire."""

import itertools
import threading
import time

import numpy as np
import pytest
from helpers.replicas import difference, in_one_process, on_replicas
from hypothesis import given, settings
from hypothesis import strategies as st

import distrib
from distrib.base.errors import PeerLostError
from distrib.comm.collectives.hierarchical import HierarchicalCommunicator
from distrib.comm.collectives.ring import RingCommunicator
from distrib.comm.messages.float16 import Float16Wire
from distrib.comm.messages.threads import run_ranks
from distrib.strategies.update.gradient_buckets import FIRST_BUCKET_BYTES, GradientBuckets, cut

rng = np.random.default_rng(8)
X, Y = rng.normal(size=(60, 8)), rng.integers(0, 3, 60)


def training(optimizer="adam", epochs=3):
    def body(strategy):
        model = distrib.Sequential(
            [
                distrib.layers.Dense(16, activation="tanh", input_shape=(8,)),
                distrib.layers.Dense(16, activation="tanh"),
                distrib.layers.Dense(3, activation="softmax"),
            ],
            dtype="float64",
        )
        model.compile(optimizer, "sparse_categorical_crossentropy")
        history = model.fit(X, Y, batch_size=12, epochs=epochs, verbose=0)
        return model.get_weights(), history.history["loss"]

    return body


@given(st.integers(0, 3_000_000), st.sampled_from([4, 8]), st.integers(0, 8_000_000))
def test_buckets_cover_the_vector_from_its_end(num_elements, itemsize, bucket_bytes):
    buckets = list(cut(num_elements, itemsize, max(bucket_bytes, bucket_bytes and 4096)))
    assert buckets[0].end == num_elements
    assert buckets[-1].begin == 0
    assert all(later.end == earlier.begin for earlier, later in itertools.pairwise(buckets))
    if len(buckets) > 1:
        assert buckets[0].size * itemsize <= FIRST_BUCKET_BYTES


@pytest.mark.parametrize("kind", ["overlapped ring", "overlapped hierarchical"])
def test_timing_does_not_change_a_bit(kind, monkeypatch):
    usual = on_replicas(3, training(), kind=kind)
    reduce, delays, late = GradientBuckets.reduce, np.random.default_rng(1), []

    def reduce_late(self, bucket):
        time.sleep(delays.uniform(0, 0.003))
        late.append(bucket)
        reduce(self, bucket)

    monkeypatch.setattr(GradientBuckets, "reduce", reduce_late)
    delayed = on_replicas(3, training(), kind=kind)
    assert len(late) > 3 * 3 * 5, "nothing was delayed"
    for (weights, losses), (others, other_losses) in zip(usual, delayed, strict=True):
        assert losses == other_losses
        assert all(a.tobytes() == b.tobytes() for a, b in zip(weights, others, strict=True))


def test_buckets_are_reduced_while_backward_goes_on(monkeypatch):
    events = []
    dense, ring = distrib.layers.Dense.backward, RingCommunicator.reduce_scatter

    def backward(self, d_y):
        result = dense(self, d_y)
        events.append("backward")
        time.sleep(0.02)
        return result

    def reduce_scatter(self, *args, **kwargs):
        events.append("reduce")
        return ring(self, *args, **kwargs)

    monkeypatch.setattr(distrib.layers.Dense, "backward", backward)
    monkeypatch.setattr(RingCommunicator, "reduce_scatter", reduce_scatter)
    on_replicas(2, training(epochs=1), kind="overlapped ring")
    assert "reduce" in events[: events.index("backward") + 3]


def test_a_rank_lost_under_way_is_told():
    def body(transport):
        vector = np.ones(1000)
        buckets = GradientBuckets(RingCommunicator(transport, 20.0), vector, np.ones(1000), 1024)
        buckets.begin()
        if transport.rank == 1:
            raise ValueError("lost under way")
        for bucket in buckets.filled(500):
            buckets.reduce(bucket)
        with pytest.raises(PeerLostError):
            buckets.finish(np.zeros(1))

    with pytest.raises(ValueError, match="lost under way"):
        run_ranks(2, body)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from([RingCommunicator, HierarchicalCommunicator]),
    world_size=st.integers(2, 4),
    size=st.integers(0, 60),
    magnitude=st.sampled_from([1e-30, 1e-6, 1.0, 1e6, 1e30]),
)
def test_float16_loses_nothing_for_good(kind, world_size, size, magnitude):
    """After k steps, what arrived and what is kept are together what was to be sent."""
    steps = 5

    def body(transport):
        communicator, residual = kind(transport, 20.0), np.zeros(size)
        mine = np.random.default_rng(transport.rank).normal(size=(steps, size)) * magnitude
        received = np.zeros(size)
        own = communicator.own_range(size).slice
        for vector in mine:
            grads = vector.copy()
            communicator.reduce_scatter_float16(grads, residual)
            received[own] += grads[own]
        return mine.sum(axis=0), received, residual

    num_hosts = 2 if world_size % 2 == 0 else world_size
    hosts = [f"host{rank % num_hosts}" for rank in range(world_size)]
    results = run_ranks(world_size, body, hosts=hosts)
    expected = np.sum([result[0] for result in results], axis=0)
    arrived = np.sum([result[1] for result in results], axis=0)
    kept = np.sum([result[2] for result in results], axis=0)
    np.testing.assert_allclose(arrived + kept, expected, rtol=1e-12, atol=1e-13 * magnitude)
    np.testing.assert_allclose(arrived, expected, atol=world_size * 2e-3 * magnitude)


def test_float16_arrives_with_nan_and_inf_and_goes_on():
    wire, residual = Float16Wire(4, np.dtype("float32")), np.zeros(4, np.float32)
    for numbers in ([1, np.nan, 2, 3], [1, np.inf, 2, 3], [1, 5, 2, 3]):
        array = np.array(numbers, np.float32)
        wire.incoming(4)[:] = wire.encode(array, residual)
        received = np.zeros(4, np.float32)
        wire.combine(received, np.add)
        np.testing.assert_array_equal(np.isfinite(received), np.isfinite(array))
        np.testing.assert_array_equal(residual, 0)


@pytest.mark.parametrize(
    ("dtype", "numbers"),
    [("float32", [1e-36, 0, -2e-37, 3e-38]), ("float32", [1e-45]), ("float64", [1e-305, -1e-306])],
)
def test_float16_carries_what_is_almost_nothing(dtype, numbers):
    wire, residual = Float16Wire(4, np.dtype(dtype)), np.zeros(len(numbers), dtype)
    array, received = np.array(numbers, dtype), np.zeros(len(numbers), dtype)
    wire.incoming(len(numbers))[:] = wire.encode(array, residual)
    wire.combine(received, np.add)
    np.testing.assert_allclose(received + residual, array, rtol=1e-6)
    assert np.abs(residual).max() <= 1e-3 * np.abs(array).max()


def test_a_step_that_is_skipped_owes_nothing_to_the_next():
    def body(strategy):
        begin, buckets = strategy.training, []

        def noted(*arguments):
            training = begin(*arguments)
            buckets.append(training.updater.buckets)
            return training

        strategy.training = noted
        model = distrib.Sequential([distrib.layers.Dense(3, activation="softmax", input_shape=(8,))])
        model.compile("sgd", "sparse_categorical_crossentropy", on_nonfinite="skip")
        model.build((None, 8))
        train_on, added, owed = model.network.train_on, iter((0.0, np.nan, 0.0)), []

        def then_spoilt(*args):
            batch_sums = train_on(*args)
            # In the last bucket, when the others are on their way.
            model.network.buffer.grads[0] += next(added)
            return batch_sums

        model.network.train_on = then_spoilt
        for _ in range(3):
            model.train_on_batch(X[:12], Y[:12])
            owed.append(sum(np.abs(residual).sum() for residual in buckets[0].residuals))
        return owed, model.optimizer.iterations

    for owed, iterations in on_replicas(
        2, body, kind="overlapped ring", bucket_bytes=16, compression="float16"
    ):
        assert owed[0] > owed[1] == 0 < owed[2]
        assert iterations == 2


@pytest.mark.parametrize("kind", ["overlapped ring", "overlapped hierarchical"])
@pytest.mark.parametrize("num_replicas", [2, 3, 4])
def test_training_with_float16_stays_close(kind, num_replicas):
    weights, losses = in_one_process(training("sgd", epochs=10))
    sent = []

    def body(strategy):
        result = training("sgd", epochs=10)(strategy)
        sent.append(strategy.communicator.counters.payload_bytes)
        return result

    for compression in (None, "float16"):
        results = on_replicas(num_replicas, body, kind=kind, bucket_bytes=1024, compression=compression)
    for replica_weights, replica_losses in results:
        assert 0 < difference(replica_weights, weights) < 1e-3
        np.testing.assert_allclose(replica_losses, losses, rtol=1e-3)
    # In float64, 8 + 8 bytes a number become 2 + 8.
    assert sum(sent[num_replicas:]) < 0.75 * sum(sent[:num_replicas])


def test_options_that_cannot_be_right():
    for options in ({"bucket_bytes": -1}, {"compression": "int8"}):
        with pytest.raises(distrib.base.errors.ConfigError, match="Received: "):
            distrib.CommunicationOptions(**options)
    with pytest.raises(distrib.base.errors.ConfigError, match="implementation='mpi'"):
        distrib.CommunicationOptions(implementation="mpi", compression="float16")


@pytest.mark.parametrize("kind", ["overlapped ring", "overlapped hierarchical"])
def test_an_exception_in_the_midst_of_backward_leaves_no_thread_in_a_collective(kind, monkeypatch):
    """A script that catches it on all replicas goes on with the same communicator."""
    weights, failing, backward = {}, set(), distrib.layers.Dense.backward

    def fails(layer, *arguments, **options):
        if threading.get_ident() in failing and layer.name == "first":
            raise RuntimeError("a bug of the user")
        return backward(layer, *arguments, **options)

    monkeypatch.setattr(distrib.layers.Dense, "backward", fails)

    def body(strategy):
        model = distrib.Sequential(
            [
                distrib.layers.Dense(16, activation="tanh", input_shape=(8,), name="first"),
                distrib.layers.Dense(16, activation="tanh"),
                distrib.layers.Dense(3, activation="softmax"),
            ],
            dtype="float64",
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(X, Y, batch_size=12, epochs=1, verbose=0)
        failing.add(threading.get_ident())
        with pytest.raises(RuntimeError, match="a bug of the user"):
            model.fit(X, Y, batch_size=12, epochs=1, verbose=0)
        failing.discard(threading.get_ident())
        assert strategy.reduce("sum", 1.0) == strategy.num_replicas_in_sync
        model.fit(X, Y, batch_size=12, epochs=2, verbose=0)
        weights[strategy.replica_id] = model.get_weights()

    on_replicas(3, body, kind=kind)
    assert not [thread for thread in threading.enumerate() if thread.name == "buckets"]
    for other in (1, 2):
        assert all(a.tobytes() == b.tobytes() for a, b in zip(weights[0], weights[other], strict=True))
