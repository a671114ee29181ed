"""The liveness server and its host agents, with processes that do nothing as the ranks, on hosts in name only."""

import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest
from helpers.mpi import SLOWER_S

from distrib.comm.liveness import client as client_module
from distrib.comm.liveness import server as module
from distrib.comm.liveness import unknown_peers as unknown_peers_module
from distrib.comm.liveness.client import LivenessClient
from distrib.comm.liveness.host_agent import HostAgent, start_agent
from distrib.comm.liveness.progress_page import ProgressPage
from distrib.comm.liveness.protocol import JsonLines, Peer
from distrib.comm.liveness.server import LivenessServer, start_server
from distrib.host.suspend_aware_clock import SuspendAwareClock

STOPPED_S = 0.4
HOST_SILENCE_S = 0.8


def test_a_script_that_ends_at_once_is_heard():
    """What the server is told in one piece with the first message counts too."""
    peers = [Peer(rank, "here", os.getpid(), ProgressPage().fd) for rank in range(2)]
    server = start_server(peers, "token", "127.0.0.1")
    connections = [socket.create_connection(("127.0.0.1", int(server.answer)), 5) for _ in peers]
    try:
        for rank, connection in enumerate(connections):
            hello = {"rank": rank, "token": "token"}
            connection.sendall(f"{json.dumps(hello)}\n{json.dumps({'left': 0})}\n".encode())
        for connection in connections:
            assert '{"end": true}' in everything(connection)
    finally:
        for connection in connections:
            connection.close()
        server.close()


@pytest.mark.parametrize(
    "hello",
    [
        {"rank": 1, "token": "wrong"},
        {"rank": 1, "token": ""},
        {"rank": 1},
        {"rank": 7, "token": "token"},
    ],
)
def test_s3_who_has_not_the_token_is_turned_away_and_the_others_stay(hello):
    peers = [Peer(rank, "here", os.getpid(), ProgressPage().fd) for rank in range(2)]
    server = start_server(peers, "token", "127.0.0.1")
    address = "127.0.0.1", int(server.answer)
    ours, stranger, silent = (socket.create_connection(address, 5) for _ in range(3))
    try:
        send(ours, {"rank": 0, "token": "token"})
        begin = time.monotonic()
        send(stranger, hello, {"left": 0})
        assert everything(stranger) == ""
        assert time.monotonic() - begin < 1 + SLOWER_S
        with socket.create_connection(address, 5) as other:
            send(other, {"rank": 1, "token": "token"}, {"left": 0})
            send(ours, {"left": 0})
            assert '{"end": true}' in everything(ours)
    finally:
        ours.close()
        stranger.close()
        silent.close()
        server.close()


def send(connection, *messages):
    connection.sendall("".join(f"{json.dumps(each)}\n" for each in messages).encode())


def everything(connection):
    """What the server says until it ends, or for 5 s."""
    said, deadline = b"", time.monotonic() + 5
    while time.monotonic() < deadline and (data := connection.recv(65536)):
        said += data
    return said.decode()


class Job:
    """Rank 0 on the server's host, ranks 1 and 2 on another one. They are processes that wait; we speak for them."""

    def __init__(self, stack):
        command = ["sh", "-c", "read line; exit 14"]
        self.ranks = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(3)]
        for rank in self.ranks:
            stack.callback(rank.stdin.close)
            stack.callback(rank.wait)
            stack.callback(rank.kill)
        self.peers = [Peer(0, "here", self.ranks[0].pid)]
        self.peers += [Peer(rank, "there", self.ranks[rank].pid) for rank in (1, 2)]
        self.server = LivenessServer(self.peers, "token", "127.0.0.1")
        self.address = ("127.0.0.1", self.server.port)
        self._serving = threading.Thread(target=self.server.serve)
        self._serving.start()
        stack.callback(self._serving.join, 5)
        self.lines = []
        for rank in range(3):
            lines = JsonLines(stack.enter_context(socket.create_connection(self.address, 5)))
            lines.send({"rank": rank, "token": "token"})
            lines.send({"at": [7, 5, 0]})
            self.lines.append(lines)

    def signal(self, number, *ranks):
        for rank in ranks:
            self.ranks[rank].send_signal(number)

    def fault(self, seconds):
        """What rank 0 hears within so long of a fault: its rank, step and cause; None if nothing."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.lines[0].socket.settimeout(left)
            for message in self.lines[0].receive():
                if "fault" in message:
                    return message["fault"]["rank"], message["fault"]["step"], message["fault"]["cause"]
        return None


@pytest.fixture
def bare_job(monkeypatch):
    """Without a host agent."""
    monkeypatch.setattr(module, "STOPPED_S", STOPPED_S)
    monkeypatch.setattr(unknown_peers_module, "_GREETING_S", 0.3)
    with contextlib.ExitStack() as stack:
        made = Job(stack)
        yield made
        for lines in made.lines:
            with contextlib.suppress(OSError):  # the server has ended
                lines.socket.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def job(bare_job):
    """With its host agent, as a thread."""
    agent = HostAgent(bare_job.peers[1:], "token", bare_job.address)
    thread = threading.Thread(target=agent.look_out)
    thread.start()
    deadline = time.monotonic() + 5
    while len(bare_job.server.monitors) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert len(bare_job.server.monitors) == 2, "the server has heard of the host agent"
    yield bare_job
    bare_job.signal(signal.SIGKILL, 1, 2)
    thread.join(5)


@pytest.mark.parametrize("victim", [0, 2])
def test_a_stopped_rank_is_named_whatever_its_host(job, victim):
    job.signal(signal.SIGSTOP, victim)
    rank, step, cause = job.fault(STOPPED_S + 1.5)
    assert (rank, step) == (victim, 5)
    assert cause.startswith("is frozen: stopped by a signal")


def test_a_job_that_is_suspended_and_woken_rank_by_rank_is_well(job):
    job.signal(signal.SIGSTOP, 0, 1, 2)
    assert job.fault(2 * STOPPED_S) is None
    job.signal(signal.SIGCONT, 0)
    assert job.fault(STOPPED_S / 3) is None
    job.signal(signal.SIGCONT, 1, 2)
    assert job.fault(2 * STOPPED_S) is None
    job.signal(signal.SIGSTOP, 0, 1)
    assert job.fault(STOPPED_S + 1.5)[0] in (0, 1)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_how_a_rank_of_another_host_died_is_waited_for(job, number):
    """Its connection closes before it has ended."""
    job.lines[2].socket.shutdown(socket.SHUT_RDWR)
    assert job.fault(0.1) is None
    job.signal(number, 2)
    rank, step, cause = job.fault(1)
    assert (rank, step) == (2, 5)
    assert f"died: killed by signal {number.value} ({number.name}" in cause


def test_who_was_killed_is_named_and_not_who_was_ended_because_of_it(job):
    """Open MPI may be the first to notice, and ends its own process."""
    job.ranks[1].stdin.close()
    job.lines[1].socket.shutdown(socket.SHUT_RDWR)
    assert job.fault(0.1) is None
    job.signal(signal.SIGKILL, 2)
    job.lines[2].socket.shutdown(socket.SHUT_RDWR)
    rank, _, cause = job.fault(1)
    assert (rank, cause.partition(" (")[0]) == (2, "died: killed by signal 9")


def test_who_ends_as_open_mpi_would_end_it_is_named_all_the_same(job):
    begin = time.monotonic()
    job.ranks[1].stdin.close()
    job.lines[1].socket.shutdown(socket.SHUT_RDWR)
    assert job.fault(2) == (1, 5, "died: exited with code 14 without a word")
    assert time.monotonic() - begin < 1 + SLOWER_S


def test_a_death_without_a_known_cause_is_told_within_a_second(job):
    begin = time.monotonic()
    job.lines[1].socket.shutdown(socket.SHUT_RDWR)  # as if a copy of it kept the process
    assert job.fault(2) == (1, 5, "died: its connection closed: killed, crashed or os._exit")
    assert time.monotonic() - begin < 1 + SLOWER_S


@pytest.fixture
def agent(bare_job, monkeypatch):
    """The host agent of a job, as a process; a host may be silent for a short time only."""
    monkeypatch.setattr(module, "HOST_SILENCE_S", HOST_SILENCE_S)
    made = start_agent(bare_job.peers[1:], "token", bare_job.address)
    yield made.process
    made.process.kill()
    made.close()


def test_a_host_on_which_all_are_silent_is_frozen(bare_job, agent):
    assert bare_job.fault(1.5 * HOST_SILENCE_S) is None, (
        "where the host agent speaks, the ranks may be silent"
    )
    agent.send_signal(signal.SIGSTOP)
    rank, step, cause = bare_job.fault(HOST_SILENCE_S + 1.5)
    assert (rank, step) == (1, 5)
    assert cause.startswith("is lost: no process of its host has said anything")


def test_a_host_whose_ranks_have_all_left_and_ended_is_not_frozen(bare_job, agent):
    for rank in (1, 2):
        bare_job.lines[rank].send({"left": 9})
    assert bare_job.fault(0.1) is None
    bare_job.signal(signal.SIGKILL, 1, 2)
    assert agent.wait(5) == 0
    assert bare_job.fault(HOST_SILENCE_S + 0.6) is None


def test_an_outpost_that_is_silent_is_no_fault_while_a_rank_speaks(bare_job, agent):
    agent.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + 2 * HOST_SILENCE_S
    while time.monotonic() < deadline:
        bare_job.lines[2].send({"at": [7, 5, 0]})
        assert bare_job.fault(0.1) is None


def test_ranks_of_other_hosts_give_up_a_hub_that_is_silent(monkeypatch):
    monkeypatch.setattr(client_module, "HOST_SILENCE_S", HOST_SILENCE_S)
    peers = [Peer(0, "here", os.getpid()), Peer(1, "there", os.getpid())]
    server, faults, given_up = start_server(peers, "token", "127.0.0.1"), {}, threading.Event()

    def on_fault(rank, fault):
        faults[rank] = fault
        given_up.set()

    watches = [
        LivenessClient(
            peer,
            ProgressPage(),
            peers,
            "token",
            ("127.0.0.1", int(server.answer)),
            functools.partial(on_fault, peer.rank),
        )
        for peer in peers
    ]
    try:
        assert not given_up.wait(1.5 * HOST_SILENCE_S)
        server.process.send_signal(signal.SIGSTOP)
        assert given_up.wait(HOST_SILENCE_S + 1.5)
        assert list(faults) == [1]
        assert "the liveness server beside it said nothing" in faults[1].cause
    finally:
        server.process.kill()
        server.close()
        for client in watches:
            client.thread.join(5)
            client.socket.close()


def test_who_was_stopped_does_not_take_the_others_for_silent(monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    clock = SuspendAwareClock()
    for elapsed, expected in [(0.25, 0.25), (0.5, 0.75), (3600, 1.75), (0.25, 2.0)]:
        now += elapsed
        clock.tick()
        assert clock.seconds == expected


def test_who_connects_and_says_nothing_is_turned_away(bare_job):
    with socket.create_connection(bare_job.address, 5) as silent:
        begin = time.monotonic()
        assert silent.recv(1) == b""
        assert time.monotonic() - begin < 0.3 + 2 * 0.25 + 1
    assert bare_job.fault(0.1) is None


@pytest.mark.parametrize("last", ["hub", "ranks"])
def test_an_outpost_ends_with_the_hub_and_with_its_ranks(bare_job, last):
    agent = start_agent(bare_job.peers[1:], "token", bare_job.address)
    assert agent.answer == "connected\n"
    if last == "hub":
        for lines in bare_job.lines:
            lines.send({"left": 9})
    else:
        bare_job.signal(signal.SIGKILL, 1, 2)
    assert agent.process.wait(1) == 0


def test_the_death_of_an_outpost_is_told_and_harms_nobody(bare_job, capfd):
    agent = start_agent(bare_job.peers[1:], "token", bare_job.address)
    agent.process.kill()
    agent.close()
    assert bare_job.fault(0.5) is None
    assert "distrib: The host agent on there has died" in capfd.readouterr().err
    for lines in bare_job.lines:
        lines.send({"left": 9})


def test_an_outpost_without_the_token_is_refused(bare_job, capfd):
    agent = start_agent(bare_job.peers[1:], "another", bare_job.address)
    assert agent.process.wait(2) == 0
    assert "host agent" not in capfd.readouterr().err
