"""Processes that do not belong to a run, and surroundings that cannot be right: refused, named, the run goes on."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.launch import CLUSTERS, PROGRAM, Launch, config

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def running(tmp_path):
    """A run with parameter servers that trains."""
    launch = Launch(
        "--tee", "--log-dir", tmp_path / "logs", config(tmp_path, "ps-sync"), PROGRAM, 150, "none", 0
    )
    launch.until("TRAINING", 2)
    yield launch
    ended = launch.ended()
    assert ended.code == 0, ended.output
    assert not ended.survivors


def environ_of(pid):
    text = Path(f"/proc/{pid}/environ").read_text()
    return dict(line.split("=", 1) for line in text.split("\0") if "=" in line)


def another(environ):
    """Another process that says it is the same task."""
    begin = time.monotonic()
    command = [sys.executable, "-m", "distrib.launch.script", str(PROGRAM), "3", "none", "0"]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30)
    return ended, time.monotonic() - begin


def test_d3_a_second_chief_is_refused(running):
    ended, seconds = another(environ_of(running.task("chief 0")))
    assert running.process.poll() is None, "it came too late"
    assert ended.returncode == 64, ended.stderr
    assert "Worker 0 is running already. Only one process may be worker 0." in ended.stderr
    assert seconds < 8, "of which most to start Python"


def test_d10_a_task_of_another_run_is_refused(running, tmp_path):
    token = tmp_path / "token"
    token.write_text("f" * 64)
    ended, _ = another({**environ_of(running.task("worker 0")), "DISTRIB_TOKEN_FILE": str(token)})
    assert running.process.poll() is None, "it came too late"
    assert ended.returncode == 77, ended.stderr
    assert "has not the token of the run" in ended.stderr


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
    assert re.search("ps 0 on localhost failed with exit code 64", ended.output.splitlines()[-1])
    assert not ended.survivors


def test_c27_an_unknown_host_is_named(tmp_path):
    file = with_ps(tmp_path, "nobody.invalid:0")
    ended = Launch("--log-dir", tmp_path / "logs", file, PROGRAM, 3, "none", 0).ended()
    assert ended.code == 69, ended.output
    assert "nobody.invalid cannot be reached by ssh" in ended.output
    assert "nobody.invalid" in ended.output.partition("distrib:")[0], "what ssh has said"
    assert not ended.survivors


def test_c28_a_proxy_is_not_asked(tmp_path):
    proxy = "http://127.0.0.1:9"
    variables = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "grpc_proxy"), proxy)
    launch = Launch(
        "--log-dir", tmp_path / "logs", config(tmp_path, "ps-sync"), PROGRAM, 3, "none", 0, **variables
    )
    ended = launch.ended()
    assert ended.code == 0, ended.output


def test_a_script_without_a_place_to_start_is_named(tmp_path):
    file = config(tmp_path, "ps-sync", launch='workdir = "/nowhere"')
    ended = Launch("--log-dir", tmp_path / "logs", file, "train.py").ended()
    assert ended.code == 64, ended.output
    assert "/nowhere" in ended.output
    assert os.path.basename(sys.executable) in ended.output
