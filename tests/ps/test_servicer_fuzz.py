"""Messages that were changed at random: refused, or harmless; the ps lives, and a refused one changes no weight."""

import random
import subprocess
import sys
import time

import grpc
import numpy as np
import pytest
from campaigns.messages import PeakMemory, fuzz
from helpers.ps_calls import Calls

from distrib.proto import parameter_server_pb2 as pb

MAX_GROWTH = 64 << 20


@pytest.mark.timeout(120)
def test_mutated_messages():
    outcomes, grown = fuzz(400, seed=0)
    for method, least in (("Work", 20), ("Follow", 1), ("Stop", 5), ("Leave", 5)):
        assert outcomes[method, "refused"] + outcomes[method, "unreadable"] >= least, method
    for method in ("Work", "Follow", "Stop"):  # nearly every change of Leave, which is short, is refused
        assert outcomes[method, "harmless"] >= 1, method
    assert outcomes["Work", "refused"] > 50
    assert outcomes["Work", "harmless"] > 20
    assert grown < MAX_GROWTH


def test_what_is_taken_for_a_while_only_is_counted_as_growth():
    with PeakMemory() as memory:
        np.ones(MAX_GROWTH // 8)
    assert memory.grown > 0.9 * MAX_GROWTH


def test_bytes_that_are_no_message_end_the_call_and_the_job_goes_on():
    """Over gRPC, as they come. In the end the ps exits, though gRPC may wait for such a call for ever."""
    command = [sys.executable, "-m", "distrib", "ps", "--no-shared-memory"]
    ps = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    draw = random.Random(4)
    with Calls("async", 0) as job:
        job.addresses.append(ps.stdout.readline().split()[-1])
        client, answer = job.begun()
        with grpc.insecure_channel(job.addresses[0]) as channel:
            for method in ("Work", "Follow", "Stop", "Leave"):
                path, is_stream = f"/distrib.ParameterServer/{method}", method in ("Work", "Follow")
                call = channel.stream_stream(path) if is_stream else channel.unary_stream(path)
                for raw in (b"\x33", b"\x80" * 11, draw.randbytes(100), b"\x0a\xff" + draw.randbytes(1000)):
                    with pytest.raises(grpc.RpcError) as error:
                        list(call(iter([raw]) if is_stream else raw, timeout=5))
                    assert error.value.code() == grpc.StatusCode.INTERNAL
        assert job.push(client, answer, 1).decision == pb.APPLIED
        client.stop()
        begin = time.monotonic()
        assert ps.wait(10) == 0
        assert time.monotonic() - begin < 2 + 1
    ps.stdout.close()
