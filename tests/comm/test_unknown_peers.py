"""Whoever can connect to a port of a job, and whatever is sent there, ends nothing."""

import os
import socket
import threading
import time

import pytest
from campaigns.strangers import JOBS, run
from helpers.strangers import molest

from distrib.comm.liveness.host_agent import RemoteHost
from distrib.comm.liveness.protocol import JsonLines, Peer
from distrib.comm.liveness.server import LivenessServer

TOKEN = "of this job"


class Rank:
    """A rank's side of the watch, without what makes use of it."""

    def __init__(self, rank, port, num_ranks, **hello):
        self.lines = JsonLines(socket.create_connection(("127.0.0.1", port), 5.0), num_ranks)
        self.lines.send({"rank": rank, "token": TOKEN} | hello)
        self.lines.socket.settimeout(5.0)
        self.messages = []

    def until(self, condition):
        deadline = time.monotonic() + 10
        while not any(condition(message) for message in self.messages):
            assert time.monotonic() < deadline, "nothing has come"
            assert not self.lines.closed, "the server has closed the connection"
            self.messages += self.lines.receive()


@pytest.fixture
def server():
    peers = [Peer(rank, "here", os.getpid()) for rank in range(3)]
    made = LivenessServer(peers, TOKEN, "127.0.0.1")
    thread = threading.Thread(target=made.serve)
    thread.start()
    ranks = [Rank(rank, made.port, 3) for rank in range(3)]
    for rank in ranks:
        rank.until(lambda message: "table" in message)
    yield made, ranks, thread
    for rank in ranks:
        rank.lines.socket.close()
    thread.join(20)
    assert not thread.is_alive()


def ends_well(server):
    """All ranks are heard, and end together."""
    _, ranks, thread = server
    for number, rank in enumerate(ranks):
        rank.lines.send({"at": [7 + number, 3, 0]})
    pages = [[7, 3, 0], [8, 3, 0], [9, 3, 0]]
    ranks[0].until(lambda message: message.get("table") == pages)
    for rank in ranks:
        rank.lines.send({"left": 9})
    for rank in ranks:
        rank.until(lambda message: "end" in message)
    assert not any("fault" in message for rank in ranks for message in rank.messages)
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize("seed", range(4))
def test_bad_messages_end_nothing(server, seed):
    assert molest(("127.0.0.1", server[0].port), seed, connections=150) == 150
    ends_well(server)


def test_a_thousand_half_open_connections_end_nothing(server):
    made = molest(("127.0.0.1", server[0].port), 0, connections=20, half_open=900)
    assert made == 920
    ends_well(server)


def test_without_file_descriptors_nothing_ends(server, monkeypatch):
    fired = threading.Event()
    accept = server[0].unknown_peers.listener.accept

    class Listener:
        def __getattr__(self, name):
            return getattr(listener, name)

        def accept(self):
            if not fired.is_set():
                fired.set()
                accept()[0].close()
                raise OSError(24, "Too many open files")
            return accept()

    listener = server[0].unknown_peers.listener
    server[0].unknown_peers.listener = Listener()
    socket.create_connection(("127.0.0.1", server[0].port), 2.0).close()
    assert fired.wait(5)
    ends_well(server)


def test_a_rank_of_another_version_is_named(server, capfd):
    _, ranks, _ = server
    ranks[1].lines.send({"at": {"sequence": 3}})
    ranks[0].until(lambda message: "same version of distrib" in str(message.get("fault")))
    assert "rank 1" in capfd.readouterr().err


def test_a_rank_whose_numbers_are_infinite_is_named(server):
    _, ranks, _ = server
    ranks[1].lines.socket.sendall(b'{"left": 1e999}\n')
    ranks[0].until(lambda message: "same version of distrib" in str(message.get("fault")))


@pytest.mark.parametrize("said", [{"places": 3}, {"else": []}, {"places": [], "stopped": [[]], "dead": []}])
def test_an_outpost_of_another_version_ends_nothing(said):
    """Also where the server waits for its word of how a rank has died."""
    listener = socket.create_server(("127.0.0.1", 0))
    connection = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    agent = RemoteHost(JsonLines(accepted, 2), [Peer(1, "there", os.getpid())])
    JsonLines(connection, 2).send(said)
    assert agent.cause(1) == ""
    assert agent.lines.closed
    for each in (listener, connection, accepted):
        each.close()


@pytest.mark.parametrize("num_ranks", [2, 4096])
def test_the_table_of_all_ranks_arrives_whole(num_ranks):
    listener = socket.create_server(("127.0.0.1", 0))
    connection = socket.create_connection(listener.getsockname())
    other, _ = listener.accept()
    hub_side, rank_side = JsonLines(other, num_ranks), JsonLines(connection, num_ranks)
    page = [10**12, 10**9, 3 * 10**9]
    message = {"table": [page] * num_ranks, "left": [[rank, 10**12] for rank in range(num_ranks)]}
    sender = threading.Thread(target=hub_side.send, args=(message,))
    sender.start()
    found = []
    while not found:
        assert not rank_side.closed
        found = rank_side.receive()
    sender.join()
    assert found == [message]
    for each in (listener, connection, other):
        each.close()


def test_a_stranger_is_read_no_further_than_a_greeting():
    listener = socket.create_server(("127.0.0.1", 0))
    connection = socket.create_connection(listener.getsockname())
    other, _ = listener.accept()
    lines = JsonLines(other)
    connection.sendall(b"x" * 5_000)
    while not lines.closed:
        assert lines.receive() == []
        assert len(lines.unfinished) < 10_000
    for each in (listener, connection, other):
        each.close()


@pytest.mark.timeout(150)
@pytest.mark.parametrize("job", JOBS)
def test_a_job_ends_as_if_nobody_had_come(tmp_path, job):
    """A small sample of `scripts/campaign.py strangers`."""
    assert run(tmp_path / "job", job, 300, seed=0) >= 300
