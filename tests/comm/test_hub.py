"""The hub of the watch: what it is told in one piece with the first message counts too."""

import json
import os
import socket
import time

import pytest

from distrib.comm.hub import HubProcess
from distrib.comm.lines import Peer
from distrib.comm.place import Place


def test_a_script_that_ends_at_once_is_heard():
    place = Place()
    peers = [Peer(rank, "here", os.getpid()) for rank in range(2)]
    hub = HubProcess(peers, "token", "127.0.0.1")
    connections = [socket.create_connection(("127.0.0.1", hub.port), 5) for _ in peers]
    try:
        for rank, connection in enumerate(connections):
            hello = {"rank": rank, "token": "token", "place": place.fd}
            connection.sendall(f"{json.dumps(hello)}\n{json.dumps({'left': 0})}\n".encode())
        for connection in connections:
            assert '{"end": true}' in everything(connection)
    finally:
        for connection in connections:
            connection.close()
        hub.close()


@pytest.mark.parametrize(
    "hello",
    [
        {"rank": 1, "token": "wrong", "place": -1},
        {"rank": 1, "token": "", "place": -1},
        {"rank": 1, "place": -1},
        {"rank": 7, "token": "token", "place": -1},
    ],
)
def test_s3_who_has_not_the_token_is_turned_away_and_the_others_stay(hello):
    place = Place()
    peers = [Peer(rank, "here", os.getpid()) for rank in range(2)]
    hub = HubProcess(peers, "token", "127.0.0.1")
    ours, stranger = (socket.create_connection(("127.0.0.1", hub.port), 5) for _ in range(2))
    try:
        send(ours, {"rank": 0, "token": "token", "place": place.fd})
        begin = time.monotonic()
        send(stranger, hello, {"left": 0})
        assert everything(stranger) == ""
        assert time.monotonic() - begin < 1
        with socket.create_connection(("127.0.0.1", hub.port), 5) as other:
            send(other, {"rank": 1, "token": "token", "place": place.fd}, {"left": 0})
            send(ours, {"left": 0})
            assert '{"end": true}' in everything(ours)
    finally:
        ours.close()
        stranger.close()
        hub.close()


def send(connection, *messages):
    connection.sendall("".join(f"{json.dumps(each)}\n" for each in messages).encode())


def everything(connection):
    """What the hub says until it ends, or for 5 s."""
    said, deadline = b"", time.monotonic() + 5
    while time.monotonic() < deadline and (data := connection.recv(65536)):
        said += data
    return said.decode()
