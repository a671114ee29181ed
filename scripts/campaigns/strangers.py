"""Strangers at every port of ours of a running job, which ends as if nobody had come."""

import json
import random
import time
from pathlib import Path

import grpc
import numpy as np
import pytest
from helpers.launch import Launch, config
from helpers.mpi import ENVIRONMENTS, ROOT, job_pids
from helpers.strangers import bad_bytes, listening, molest

PROGRAM = ROOT / "tests" / "launch" / "programs" / "ends.py"
JOBS = ("mirrored openmpi", "mirrored mpich", "ps-sync openmpi")
REFUSED = (
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
METHODS = ("Work", "Follow", "Stop", "Leave")

_OURS = {"mirrored": b"distrib.comm.", "ps-sync": b"\0distrib\0ps\0"}
"""In the command lines of the processes that listen for us: the liveness server, and ps. MPI's ports are its own."""


def run(folder, job, count, seed):
    """One job, and strangers who make `count` connections and calls.

    Returns:
        How many connections and calls were made.

    Raises:
        AssertionError: the job ended otherwise than alone, or before they were through.
    """
    folder.mkdir()
    alone = _values(_launch(folder / "alone", job, 0.001).ended(120))
    # So long that they are through before the job is.
    launch = _launch(folder / "molested", job, 0.02 + count / 320 / 150)
    trains = folder / "molested"
    deadline = time.monotonic() + 40
    while len(list(trains.glob("trains-*"))) < 2:
        assert time.monotonic() < deadline, launch.seen
        time.sleep(0.05)
    ports = sorted(_ports(launch.job, _OURS[job.split()[0]]))
    assert ports, "nobody listens"
    made, rounds = 0, random.Random(seed)
    while made < count:
        for port in ports:
            made += molest(("127.0.0.1", port), rounds.random(), connections=40, half_open=10)
            if job.startswith("ps"):
                made += _calls(port, rounds, 20)
    assert launch.process.poll() is None, "they came too late"
    ended = launch.ended(120)
    assert ended.code == 0, ended.output
    np.testing.assert_allclose(_values(ended), alone, rtol=1e-5)
    return made


def _launch(folder, job, seconds_a_step):
    strategy, mpi = job.split()
    folder.mkdir()
    python = ENVIRONMENTS[mpi] / "bin" / "python"
    file = config(folder, strategy)
    arguments = ("--log-dir", folder / "logs", file, PROGRAM, "slow", folder)
    return Launch(*arguments, python=python, SLOWER=str(seconds_a_step))


def _values(ended):
    assert ended.code == 0, ended.output
    return json.loads(ended.output.partition("values ")[2].splitlines()[0])


def _ports(job, mark):
    ports = set()
    for pid in job_pids(job):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if mark in line:
            ports |= listening(pid)
    return ports


def _calls(port, rng, count):
    """Calls of gRPC with bytes that are no message, without the token or with another; all are refused."""
    metadata = [("authorization", "Bearer " + "x" * rng.randrange(1, 500))] if rng.randrange(2) else []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for _ in range(count):
            method = rng.choice(METHODS)
            call = channel.stream_stream(f"/distrib.ParameterServer/{method}")
            with pytest.raises(grpc.RpcError) as caught:
                list(call(iter([bad_bytes(rng)]), metadata=metadata, timeout=5))
            assert caught.value.code() in REFUSED, f"{method}: {caught.value}"
    return count
