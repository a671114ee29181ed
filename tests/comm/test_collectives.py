"""Collectives against the naive oracle, over threads: 1 to 5 ranks, every awkward size; the ring's byte counts."""

import itertools
import logging
import re
import threading

import numpy as np
import pytest
from helpers.reference import NaiveCommunicator
from helpers.replicas import hosts_of
from hypothesis import given, settings
from hypothesis import strategies as st

from distrib.base.errors import ConfigError, PeerLostError, ProtocolError
from distrib.base.logs import LOGGER
from distrib.comm.collectives.hierarchical import HierarchicalCommunicator
from distrib.comm.collectives.ring import RingCommunicator
from distrib.comm.collectives.shared_memory import SharedMemoryCommunicator
from distrib.comm.messages.threads import run_ranks
from distrib.comm.reduce_op import ReduceOp
from distrib.comm.select import collectives

RANKS = [1, 2, 3, 4, 5]
KINDS = {
    "ring": RingCommunicator,
    "naive": NaiveCommunicator,
    "shared_memory": SharedMemoryCommunicator,
    "hierarchical": HierarchicalCommunicator,
}


def run(world_size, kind, body):
    """`body(communicator)` on every rank, with the collectives of that kind."""

    def on_rank(transport):
        return body(KINDS[kind](transport, timeout_s=20.0))

    return run_ranks(world_size, on_rank, hosts=hosts_of(kind, world_size))


@pytest.mark.parametrize(
    ("implementation", "hosts", "chosen"),
    [
        ("auto", ["a", "a", "a"], "3 ranks on 1 host(s): implementation shared_memory"),
        ("auto", ["a", "b"], "2 ranks on 2 host(s): implementation ring"),
        ("auto", ["a", "b", "a", "b"], "4 ranks on 2 host(s): implementation hierarchical"),
        ("auto", ["a", "b", "a"], "3 ranks on 2 host(s): implementation ring"),
        ("ring", ["a", "a"], "2 ranks on 1 host(s): implementation ring"),
    ],
)
def test_the_choice_is_logged_once(caplog, monkeypatch, implementation, hosts, chosen):
    monkeypatch.setattr(LOGGER, "propagate", False)
    monkeypatch.setattr(LOGGER, "handlers", [caplog.handler])
    with caplog.at_level(logging.INFO, "distrib"):
        run_ranks(len(hosts), lambda transport: collectives(transport, implementation, 20.0), hosts=hosts)
    assert caplog.messages == [chosen]


@pytest.mark.parametrize(
    ("implementation", "hosts", "words"),
    [
        ("shared_memory", ["a", "b"], "all ranks on one host. Received: ranks on a, b. Use 'hierarchical'"),
        (
            "hierarchical",
            ["a", "b", "a"],
            r"as many ranks on every host. Received: \[2, 1\]. Use implementation='ring'",
        ),
        ("mpi", ["a", "a"], "needs an MPI job. Received: ThreadTransport"),
    ],
)
def test_what_cannot_be_forced_between_these_ranks_is_refused(implementation, hosts, words):
    with pytest.raises(ConfigError, match=words):
        run_ranks(len(hosts), lambda transport: collectives(transport, implementation, 20.0), hosts=hosts)


def sizes(world_size):
    return [0, 1, world_size - 1, world_size, world_size + 1, 10_007, 1_000_000]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("world_size", RANKS)
def test_all_reduce_adds_exactly(world_size, dtype, kind):
    def body(communicator):
        for size in sizes(world_size):
            # small integers: exact in both dtypes, in any order
            mine = (np.arange(size) % 1000 * (communicator.rank + 1)).astype(dtype)
            expected = np.arange(size) % 1000 * (world_size * (world_size + 1) // 2)
            for vector in (mine.copy(), communicator.shared(mine)):
                communicator.all_reduce(vector)
                assert np.array_equal(vector, expected)

    run(world_size, kind, body)


@pytest.mark.parametrize("world_size", RANKS)
def test_payload_is_two_n_minus_one_vectors_and_headers_are_apart(world_size):
    for size in sizes(world_size):

        def body(transport, size=size):
            communicator = RingCommunicator(transport)
            communicator.all_reduce(np.ones(size, np.float32))
            return communicator.counters

        counters = run_ranks(world_size, body)
        assert sum(c.payload_bytes for c in counters) == 2 * (world_size - 1) * size * 4
        messages = 2 * (world_size - 1) * world_size
        assert sum(c.messages for c in counters) == messages
        assert sum(c.header_bytes for c in counters) == 64 * messages


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from([kind for kind in KINDS if kind != "naive"]),
    in_shared_memory=st.booleans(),
    world_size=st.integers(1, 5),
    size=st.integers(0, 50),
    op=st.sampled_from(list(ReduceOp)),
    seed=st.integers(0, 99),
)
def test_collectives_agree_with_naive(kind, in_shared_memory, world_size, size, op, seed):
    def values_of(rank):
        return np.random.default_rng([seed, rank]).normal(size=size)

    def body(communicator):
        results = []
        for _ in range(2):
            vector = values_of(communicator.rank)
            if in_shared_memory:
                vector = communicator.shared(vector)
            communicator.all_reduce(vector, op)
            results.append(vector.copy())
        vector = values_of(communicator.rank)
        if in_shared_memory:
            vector = communicator.shared(vector)
        communicator.reduce_scatter(vector, op)
        communicator.all_gather(vector)
        return [*results, vector.copy()]

    def naive(communicator):
        vector = values_of(communicator.rank)
        communicator.all_reduce(vector, op)
        return vector

    expected = run(world_size, "naive", naive)[0]
    for vectors in run(world_size, kind, body):
        for vector in vectors:
            np.testing.assert_allclose(vector, expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("kind", ["shared_memory", "hierarchical"])
def test_a_vector_in_shared_memory_stays_where_it_is(kind):
    def body(communicator):
        first = communicator.shared(np.full(9, float(communicator.rank)))
        assert communicator.shared(first) is first
        assert (first == communicator.rank).all()

    run(4, kind, body)


def test_a_common_vector_is_one_for_all_and_begins_with_the_values_of_rank_0():
    def body(communicator):
        vector = communicator.common(np.full(9, float(communicator.rank)))
        assert (vector == 0).all()
        communicator.barrier()
        if communicator.rank == 2:
            vector[...] = 7
        communicator.barrier()
        assert (vector == 7).all()

    run(3, "shared_memory", body)


@pytest.mark.parametrize("kind", ["ring", "hierarchical"])
def test_over_hosts_there_is_no_common_vector(kind):
    with pytest.raises(ConfigError, match="no memory that all 2 ranks share"):
        run(2, kind, lambda communicator: communicator.common(np.ones(3)))


@pytest.mark.parametrize("kind", ["ring", "shared_memory", "hierarchical"])
def test_rows_as_long_as_those_of_many_ranks_a_host(kind):
    def body(communicator):
        rows = communicator.gather_scalars(np.arange(1500.0) + communicator.rank)
        assert np.array_equal(rows, np.arange(1500.0) + np.arange(4.0)[:, None])

    run(4, kind, body)


@pytest.mark.parametrize("kind", ["ring", "shared_memory", "hierarchical"])
@pytest.mark.parametrize("world_size", RANKS)
def test_rows_bytes_broadcast_and_barrier(world_size, kind):
    def body(communicator):
        rank = communicator.rank
        scalars = np.array([rank, 10.0 * rank])
        expected = np.array([[r, 10.0 * r] for r in range(world_size)])
        assert np.array_equal(communicator.gather_scalars(scalars), expected)
        vector = communicator.shared(np.ones(7, np.float32))
        assert np.array_equal(communicator.reduce_scatter(vector, scalars=scalars), expected)
        own = communicator.own_range(7)
        assert (vector[own.slice] == world_size).all()
        assert np.array_equal(communicator.all_gather(vector, scalars=scalars), expected)
        assert (vector == world_size).all()
        assert communicator.gather_bytes(b"x" * rank) == [b"x" * r for r in range(world_size)]
        for root in range(world_size):
            vector = np.full(100_000, rank, np.float64)
            communicator.broadcast(vector, root)
            assert (vector == root).all()
        communicator.barrier()

    run(world_size, kind, body)


def disagree(first, second, kind="ring"):
    """Run two ranks that do different things; the error of each."""
    errors = {}

    def body(communicator):
        try:
            (first if communicator.rank == 0 else second)(communicator)
        except BaseException as error:
            errors[communicator.rank] = error
            raise

    with pytest.raises((ProtocolError, PeerLostError)):
        run(2, kind, body)
    return errors


@pytest.mark.parametrize(
    ("first", "second", "differs"),
    [
        (lambda c: c.reduce_scatter(np.ones(4)), lambda c: c.all_gather(np.ones(4)), "operation"),
        (lambda c: c.all_reduce(np.ones(4)), lambda c: c.all_reduce(np.ones(4), ReduceOp.MAX), "op"),
        (lambda c: c.all_reduce(np.ones(4)), lambda c: c.all_reduce(np.ones(5)), "elements"),
        (lambda c: c.all_reduce(np.ones(4, "f4")), lambda c: c.all_reduce(np.ones(4, "i4")), "dtype"),
        (lambda c: c.all_reduce(np.ones(4, "f4")), lambda c: c.all_reduce(np.ones(4, "f8")), "dtype"),
        (lambda c: c.broadcast(np.ones(4), 0), lambda c: c.broadcast(np.ones(4), 1), "root"),
        (lambda c: c.gather_bytes(b""), lambda c: c.gather_scalars(np.ones(1)), "operation"),
    ],
)
@pytest.mark.parametrize("kind", ["ring", "shared_memory", "hierarchical"])
def test_disagreement_is_an_error_on_every_rank(first, second, differs, kind):
    errors = disagree(first, second, kind)
    assert set(errors) == {0, 1}
    assert any(f"differ in {differs}" in str(error) for error in errors.values())


def test_messages_of_another_job_or_model_are_refused():
    def other_job(communicator):
        communicator.transport.job = b"otherjob"
        communicator.all_reduce(np.ones(4))

    errors = disagree(lambda c: c.all_reduce(np.ones(4)), other_job)
    assert any("job id mismatch" in str(error) for error in errors.values())

    def other_model(communicator):
        communicator.agree_on_model(b"12345678")
        communicator.all_reduce(np.ones(4))

    errors = disagree(lambda c: c.all_reduce(np.ones(4)), other_model)
    assert any("differ in model" in str(error) for error in errors.values())


def test_a_corrupted_header_is_refused():
    def body(transport):
        communicator = RingCommunicator(transport, timeout_s=2.0)
        if transport.rank == 0:
            send = transport.send

            def corrupt(message, dest):
                message = message.copy()
                if message.size >= 64 and message.dtype == np.uint8:
                    message[20] ^= 0x10
                return send(message, dest)

            transport.send = corrupt
        communicator.all_reduce(np.ones(4))

    with pytest.raises(ProtocolError, match="corrupted"):
        run_ranks(2, body)


def test_a_missing_rank_is_named_at_the_deadline():
    def body(transport):
        communicator = RingCommunicator(transport, timeout_s=0.2)
        communicator.barrier()
        if transport.rank != 2:
            communicator.barrier()

    with pytest.raises(PeerLostError, match="Not there: rank 2"):
        run_ranks(3, body)


@pytest.mark.parametrize("at_receive", [0, 3])
@pytest.mark.parametrize(
    ("kind", "world_size", "victim"), [("ring", 3, 1), ("ring", 4, 0), ("hierarchical", 4, 3)]
)
def test_who_is_late_within_a_collective_is_named_by_all_not_its_neighbours(
    kind, world_size, victim, at_receive
):
    """In a ring only one rank waits for who is late; another one for that one, and so on."""
    told, all_told = {}, threading.Event()

    def body(transport):
        communicator = KINDS[kind](transport, timeout_s=0.3)
        communicator.barrier()
        receive, calls = transport.receive, itertools.count()

        def late_receive(message, source):
            if next(calls) == at_receive:
                assert all_told.wait(10)
                raise PeerLostError("it need not come any more")
            return receive(message, source)

        if transport.rank == victim:
            transport.receive = late_receive
        try:
            communicator.all_reduce(np.ones(1000))
        except PeerLostError as error:
            if transport.rank != victim:
                told[transport.rank] = str(error)
            if len(told) == world_size - 1:
                all_told.set()

    run_ranks(world_size, body, hosts=hosts_of(kind, world_size))
    assert set(told) == set(range(world_size)) - {victim}
    for words in told.values():
        assert re.search(rf"(Not there|Not done with it): rank {victim} \(\w+, thread\)\. ", words), words


@pytest.mark.parametrize(
    "array",
    [
        np.ones((4, 4))[:, 0],
        np.ones((2, 2)),
        np.array(1.0),
        np.array([object()]),
        np.ones(3, np.complex128),
        np.ones(3, ">f8"),
    ],
)
def test_arrays_that_cannot_be_sent_are_refused_before_sending(array):
    def body(transport):
        communicator = RingCommunicator(transport)
        communicator.all_reduce(array)
        return communicator.counters.messages

    with pytest.raises(ProtocolError, match=r"expects|Expected"):
        run_ranks(2, body)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f2", "f4", "f8"])
def test_numeric_dtypes_can_be_sent(dtype):
    def body(transport):
        vector = np.arange(9).astype(dtype)
        RingCommunicator(transport).all_reduce(vector)
        assert np.array_equal(vector, 2 * np.arange(9))

    run_ranks(2, body)
