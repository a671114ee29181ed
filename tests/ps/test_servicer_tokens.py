"""Who may do what on a ps with a token: each call without a token, with a wrong one and with the right one."""

import subprocess
import sys
import time

import grpc
import pytest

import distrib
from distrib.proto import parameter_server_pb2 as pb
from distrib.proto import parameter_server_pb2_grpc as services
from distrib.ps.client.stream import Stream
from distrib.ps.server.server import Server
from distrib.ps.server.server_options import ServerOptions
from distrib.ps.wire import codec, tls
from distrib.ps.wire.framing import Frame
from distrib.ps.wire.requirements import run_token

TOKENS = {
    "no": [],
    "wrong": [("authorization", "Bearer wrong")],
    "right": [("authorization", "Bearer right")],
}
CHIEF, WORKER = 1000, 2000
"""Incarnations of the chief, and of worker 1."""


def work(address, metadata, worker, incarnation):
    """Say on a stream who this is; the stream, after the welcome."""
    stream = Stream(address, metadata)
    hello = pb.Hello(
        protocol=codec.PROTOCOL,
        worker=worker,
        incarnation=incarnation,
        num_ps=1,
        num_elements=4,
        dtype="float32",
        waited=60.0,  # so that who lives is not taken for one whose end was not noticed yet
    )
    stream.send(Frame(pb.WorkRequest(call=0, hello=hello, last=True)))
    try:
        assert stream.reply().head.HasField("welcome")
    except BaseException:
        stream.close()
        raise
    return stream


@pytest.fixture
def job():
    """A ps with a token, its address, and a chief and a worker that are connected."""
    server = Server("127.0.0.1:0", ServerOptions(token="right"))
    address = f"127.0.0.1:{server.port}"
    streams = [work(address, TOKENS["right"], *who) for who in ((0, CHIEF), (1, WORKER))]
    yield server, address
    for stream in streams:
        stream.close()
    server.close()


def call(address, method, metadata, incarnation):
    """Make one call as that process would; returns the status."""
    channel = tls.channel(address)
    stub = services.ParameterServerStub(channel)
    try:
        if method == "Work":
            work(address, metadata, 0, incarnation).close()
        elif method == "Follow":
            request = pb.FollowRequest(ps=1, incarnation=incarnation)
            list(stub.Follow(iter([request]), timeout=0.5, metadata=metadata))
        elif method == "Stop":
            stub.Stop(pb.StopRequest(incarnation=incarnation), timeout=5, metadata=metadata)
        else:
            stub.Leave(pb.LeaveRequest(worker=1, incarnation=incarnation), timeout=5, metadata=metadata)
    except grpc.RpcError as error:
        return error.code()
    finally:
        channel.close()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("incarnation", [CHIEF, WORKER], ids=["chief", "worker"])
@pytest.mark.parametrize("token", ["no", "wrong"])
@pytest.mark.parametrize("method", ["Work", "Follow", "Stop", "Leave"])
def test_s3_without_the_token_nothing_can_be_called(job, method, token, incarnation):
    server, address = job
    begin = time.monotonic()
    assert call(address, method, TOKENS[token], incarnation) == grpc.StatusCode.UNAUTHENTICATED
    assert time.monotonic() - begin < 3
    assert not server.has_ended.is_set()


@pytest.mark.parametrize(
    ("method", "incarnation", "status"),
    [
        ("Work", CHIEF, "OK"),  # the chief, whose connection broke
        ("Work", WORKER, "ALREADY_EXISTS"),
        ("Follow", CHIEF, "OK"),  # it is served, and has nothing to follow
        ("Follow", WORKER, "OK"),
        ("Stop", CHIEF, "OK"),
        ("Stop", WORKER, "FAILED_PRECONDITION"),
        ("Stop", 0, "FAILED_PRECONDITION"),  # of another protocol
        ("Leave", CHIEF, "FAILED_PRECONDITION"),  # for worker 1
        ("Leave", WORKER, "OK"),
        ("Leave", WORKER + 1, "FAILED_PRECONDITION"),  # a second process for it, which was refused
    ],
)
def test_s12_with_the_token_only_the_chief_does_what_is_the_chiefs(job, method, incarnation, status):
    server, address = job
    begin = time.monotonic()
    assert call(address, method, TOKENS["right"], incarnation).name == status
    assert time.monotonic() - begin < 3
    assert server.has_ended.is_set() == (method == "Stop" and incarnation == CHIEF)
    assert (1 in server.servicer.uninformed) == (method != "Leave" or incarnation != WORKER), (
        "whom the end is told"
    )


@pytest.mark.parametrize(("incarnation", "status"), [(WORKER, "FAILED_PRECONDITION"), (CHIEF, "OK")])
def test_s12_before_there_is_a_chief_no_worker_ends_the_job(incarnation, status):
    """But a chief may, whose script has failed before it said who it is."""
    server = Server("127.0.0.1:0", ServerOptions(token="right"))
    address = f"127.0.0.1:{server.port}"
    stream = work(address, TOKENS["right"], 1, WORKER)
    assert call(address, "Stop", TOKENS["right"], incarnation).name == status
    assert server.has_ended.is_set() == (status == "OK")
    stream.close()
    server.close()


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"", 0o600, "Received: an empty file"),
        (b" \n", 0o600, "Received: an empty file"),
        (b"secret", 0o644, "every user of this host may read. Run: chmod 600"),
        (b"secret", 0o604, "every user of this host may read"),
        (b"\xff\xfe", 0o600, "cannot be read"),
        (None, 0, "cannot be read"),
    ],
)
def test_a_token_file_that_is_none_is_an_error(tmp_path, monkeypatch, content, mode, words):
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
        file.chmod(mode)
    monkeypatch.setenv("DISTRIB_TOKEN_FILE", str(file))
    with pytest.raises(distrib.ConfigError, match=words):
        run_token()
    ended = subprocess.run(
        [sys.executable, "-m", "distrib", "ps", "--address", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert ended.returncode == 64
    assert words.partition(". Run")[0] in ended.stderr
    assert "listens" not in ended.stdout


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440])
def test_a_token_file_for_this_user_is_read(tmp_path, monkeypatch, mode):
    file = tmp_path / "token"
    file.write_text("secret\n")
    file.chmod(mode)
    monkeypatch.setenv("DISTRIB_TOKEN_FILE", str(file))
    assert run_token() == "secret"
