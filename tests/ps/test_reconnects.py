"""Workers whose stream to ps:0 has ended: waited for, given up, or still to hear of the end of the job."""

import threading
import time

import pytest

from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.server import reconnects as module
from distrib.ps.server.reconnects import Reconnects
from distrib.ps.server.worker_session import WorkerSession


def session(worker=1, incarnation=5):
    hello = pb.Hello(worker=worker, incarnation=incarnation, num_ps=1, num_elements=8, dtype="float32")
    return WorkerSession(hello, False)


@pytest.fixture
def reconnects(monkeypatch):
    monkeypatch.setattr(module, "RECONNECT_S", 0.2)
    made = Reconnects(threading.RLock(), lambda session: made.given_up.append(session))
    made.given_up = []
    yield made
    made.close()


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_worker_that_does_not_come_back_is_given_up_once(reconnects):
    gone = session()
    reconnects.wait_for(gone)
    assert reconnects.awaits(1)
    until(lambda: reconnects.given_up)
    reconnects.give_up_now(1)
    assert reconnects.given_up == [gone]
    assert not reconnects.awaits(1)


def test_one_that_comes_back_is_not(reconnects):
    reconnects.wait_for(session())
    reconnects.joins(session())
    time.sleep(0.5)
    assert reconnects.given_up == []


def test_another_process_in_its_place_gives_up_the_one_before_at_once(reconnects):
    before = session()
    reconnects.wait_for(before)
    reconnects.joins(session(incarnation=6))
    assert reconnects.given_up == [before]


def test_one_that_says_goodbye_between_two_streams_is_given_up_at_once(reconnects):
    gone = session()
    reconnects.wait_for(gone)
    reconnects.give_up_now(1)
    assert reconnects.given_up == [gone]


def test_at_the_end_of_the_job_it_is_still_to_hear_of_it(reconnects):
    reconnects.wait_for(session(1))
    reconnects.close()
    reconnects.wait_for(session(2))
    time.sleep(0.5)
    assert reconnects.awaits(1)
    assert reconnects.awaits(2)
    assert reconnects.given_up == []
