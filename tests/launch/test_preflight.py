"""Processes that do not belong to a run, and invalid environments: refused, named, the run goes on."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import missing
from helpers.launch import CLUSTERS, PROGRAM, Launch, config
from helpers.mpi import ENVIRONMENTS, available, job_pids

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def running(tmp_path):
    """A run with parameter servers that trains."""
    launch = Launch(
        "--tee", "--log-dir", tmp_path / "logs", config(tmp_path, "ps-sync"), PROGRAM, 50000, "none", 0
    )
    launch.until("TRAINING", 2)
    yield launch
    launch.signal(signal.SIGTERM)
    ended = launch.ended()
    assert ended.code == 0, ended.output
    # Both, unless the chief has ended the epoch before the worker has computed another batch.
    assert ended.output.count("SAVED AND ENDED") >= 1, ended.output
    assert not ended.survivors


def environ_of(pid):
    text = Path(f"/proc/{pid}/environ").read_text()
    return dict(line.split("=", 1) for line in text.split("\0") if "=" in line)


def another(environ):
    """Another process that says it is the same task."""
    command = [sys.executable, "-m", "distrib.launch.task.entrypoint", str(PROGRAM), "3", "none", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env=environ, text=True, **pipes)
    assert process.stdout.readline().startswith("I am"), "then it looks for the others"
    begin = time.monotonic()
    out, err = process.communicate(timeout=30)
    return subprocess.CompletedProcess(command, process.returncode, out, err), time.monotonic() - begin


def test_d3_a_second_chief_is_refused(running):
    ended, seconds = another(environ_of(running.task("chief 0")))
    assert running.process.poll() is None, "it came too late"
    assert ended.returncode == 64, ended.stderr
    assert "Worker 0 is running already. Only one process may be worker 0." in ended.stderr
    assert seconds < 3, "within 1 s, after the import of gRPC"


@pytest.mark.parametrize(("strategy", "mpi"), [("mirrored", "openmpi"), ("central_storage", "mpich")])
def test_d3_a_second_chief_of_an_mpirun_is_refused(tmp_path, strategy, mpi):
    """The ranks of an mpirun know each other. So another chief is one of another mpirun, in the same folder."""
    if mpi not in available():
        missing(f"{mpi} environment")

    def launch(name, epochs):
        command = (config(tmp_path, strategy), PROGRAM, epochs, "none", 0, tmp_path / "run")
        python = ENVIRONMENTS[mpi] / "bin" / "python"
        return Launch("--tee", "--log-dir", tmp_path / name, *command, python=python)

    first = launch("first", 50000)
    first.until("TRAINING", 2)
    second = launch("second", 3)
    second.until("I am chief 0")  # Python and mpirun have started, which takes as long as the machine is busy
    begin = time.monotonic()
    second = second.ended()
    seconds = time.monotonic() - begin
    assert first.process.poll() is None, "it came too late"
    assert second.code == 74, second.output
    words = rf"{tmp_path}/run: another run \(pid (\d+) on \S+, run \S+\) writes '\S+' there"
    last = second.output.splitlines()[-1]
    named = re.search(rf"chief 0 on \S+ failed with exit code 74: .*{words}", last)
    assert named, last
    assert int(named[1]) in job_pids(first.job)
    assert "TRAINING" not in second.output
    assert seconds < 6, "within 1 s, after the start of MPI"
    assert not second.survivors
    first.signal(signal.SIGTERM)
    ended = first.ended()
    assert ended.code == 0, ended.output
    assert ended.output.count("SAVED AND ENDED") == 2, "both have trained all the time"
    assert not ended.survivors


def test_d10_a_task_of_another_run_is_refused(running, tmp_path):
    token = tmp_path / "token"
    token.write_text("f" * 64)
    token.chmod(0o600)
    ended, seconds = another({**environ_of(running.task("worker 0")), "DISTRIB_TOKEN_FILE": str(token)})
    assert running.process.poll() is None, "it came too late"
    assert ended.returncode == 77, ended.stderr
    assert "does not have the token of the run" in ended.stderr
    assert seconds < 3, "within 1 s, after the import of gRPC"


def with_ps(tmp_path, address):
    file = config(tmp_path, "ps-sync")
    text = file.read_text().replace(CLUSTERS["ps"], f'chief = ["localhost:0"]\nps = ["{address}"]')
    file.write_text(text)
    return file


def test_c26_a_port_in_use_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = Launch(
            "--log-dir", tmp_path / "logs", with_ps(tmp_path, address), PROGRAM, 3, "none", 0
        ).ended()
    assert ended.code == 64, ended.output
    assert f"ps cannot listen on {address}: is the port in use?" in ended.output
    assert ended.seconds < 4, "within 1 s, after two starts of Python"
    assert re.search("ps 0 on localhost failed with exit code 64", ended.output.splitlines()[-1])
    assert not ended.survivors


def test_c27_an_unknown_host_is_named(tmp_path):
    file = with_ps(tmp_path, "nobody.invalid:0")
    ended = Launch("--log-dir", tmp_path / "logs", file, PROGRAM, 3, "none", 0).ended()
    assert ended.code == 69, ended.output
    assert "nobody.invalid cannot be reached by ssh" in ended.output
    assert "nobody.invalid" in ended.output.partition("distrib:")[0], "what ssh has said"
    assert not ended.survivors


@pytest.fixture
def proxied():
    """A proxy that counts who comes, and the variables that send everybody there."""
    came = []

    def serve():
        while True:
            try:
                connection, _ = proxy.accept()
            except OSError:
                return
            came.append(connection.recv(4096))
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as proxy:
        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        names = ("http_proxy", "https_proxy", "HTTP_PROXY", "grpc_proxy")
        yield (
            {**dict.fromkeys(names, url), **dict.fromkeys(("no_proxy", "NO_PROXY", "no_grpc_proxy"), "")},
            came,
        )
        proxy.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_c28_a_proxy_is_not_asked(tmp_path, proxied):
    variables, came = proxied
    plain = (
        "import grpc\nchannel = grpc.insecure_channel('127.0.0.1:9')\n"
        "try:\n    channel.unary_unary('/a/b')(b'', timeout=5)\nexcept grpc.RpcError: pass"
    )
    subprocess.run([sys.executable, "-c", plain], env={**os.environ, **variables}, check=True, timeout=30)
    assert came, "gRPC by itself asks the proxy"
    assert came[0].startswith(b"CONNECT 127.0.0.1:9")
    came.clear()
    launch = Launch(
        "--log-dir", tmp_path / "logs", config(tmp_path, "ps-sync"), PROGRAM, 3, "none", 0, **variables
    )
    ended = launch.ended()
    assert ended.code == 0, ended.output
    assert "ENDED WELL" in ended.output
    assert came == []


def test_a_script_without_a_place_to_start_is_named(tmp_path):
    file = config(tmp_path, "ps-sync", launch='workdir = "/nowhere"')
    ended = Launch("--log-dir", tmp_path / "logs", file, "train.py").ended()
    assert ended.code == 64, ended.output
    assert "/nowhere" in ended.output
    assert os.path.basename(sys.executable) in ended.output
