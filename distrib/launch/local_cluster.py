"""A cluster on this machine: this process is the chief, and starts workers and parameter servers beside it.

with local_cluster(num_workers=2, num_ps=1):
    strategy = distrib.ParameterServerStrategy()

The workers run the same command line as this process, so there must be a script: in an interactive interpreter or a
notebook there is none. A thread watches them. One that ends before the training has begun ends the training, unless
it may do without; one that ends later is named, and the others take over what it was computing.
"""

from __future__ import annotations

import builtins
import ctypes
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distrib.base import background
from distrib.base.arguments import checked
from distrib.base.errors import ConfigError, PeerLostError
from distrib.base.logs import LOGGER
from distrib.cluster.resolve import ALONE, resolve
from distrib.host.blas_threads import limit_blas_threads
from distrib.ps.wire.requirements import require_grpc
from distrib.strategies.parameter_server import close_all, lose_worker

_START_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 6.0
_LOOK_EVERY_S = 0.1

READY = "ps listens on "
"""Printed by a ps, followed by its address."""

_PR_SET_PDEATHSIG = 1


@checked
@contextmanager
def local_cluster(num_workers: int, num_ps: int = 1, allow_missing_workers: bool = False) -> Iterator[None]:
    """Start `num_ps` parameter servers and `num_workers - 1` workers; they end with this context.

    In a process that belongs to a cluster already, because one of these or another launcher started it, it does
    nothing.

    Args:
        num_workers: workers, this process among them.
        num_ps: parameter servers.
        allow_missing_workers: train without workers that end before the training has begun.

    Raises:
        ConfigError: the environment names an invalid cluster; there is no script that workers could run;
            or a package is missing.
        PeerLostError: a parameter server did not start; from `fit`: a worker has ended before the training has begun.
    """
    if resolve() != ALONE:
        yield
        return
    if num_workers > 1:
        _check_script()
    require_grpc()
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="distrib-") as folder:
        token = Path(folder) / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        os.environ["DISTRIB_TOKEN_FILE"] = str(token)
        threads = max(1, len(os.sched_getaffinity(0)) // num_workers)
        unlimit = limit_blas_threads(threads)  # of this process; the others read the environment
        os.environ.setdefault("OPENBLAS_NUM_THREADS", str(threads))
        over = threading.Event()
        servers: list[subprocess.Popen[str]] = []
        workers: list[subprocess.Popen[bytes]] = []
        try:
            servers = [_start_ps() for _ in range(num_ps)]
            addresses = [_address(server) for server in servers]
            command = [sys.executable, *sys.orig_argv[1:]]
            for index in range(num_workers - 1):
                environ = {**os.environ, "TF_CONFIG": _config(addresses, num_workers, "worker", index)}
                workers.append(
                    subprocess.Popen(
                        command,
                        env=environ,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        preexec_fn=end_with_parent,
                    )
                )
            os.environ["TF_CONFIG"] = _config(addresses, num_workers, "chief", 0)
            background.start(lambda: _watch(workers, over, allow_missing_workers), "local cluster")
            yield
        finally:
            over.set()
            error = sys.exc_info()[1]
            close_all(error)
            unlimit()
            os.environ.clear()
            os.environ.update(before)
            for line in end_processes(workers, servers):
                if error is None:  # otherwise they know, and fail too
                    LOGGER.warning(line)


def _check_script() -> None:
    """Raise `ConfigError` where the command line of this process is not that of a script, which workers could run."""
    is_interactive = hasattr(sys, "ps1") or "get_ipython" in dir(builtins)
    if is_interactive or not sys.argv or sys.argv[0] in ("", "-"):
        raise ConfigError(
            "local_cluster expects to be called in a script: its workers run the same command line as this "
            "process. Received: an interactive interpreter, a notebook, or a program from standard input. Write the "
            "program to a file, and run: python FILE."
        )


def _watch(workers: list[subprocess.Popen[bytes]], over: threading.Event, allow_missing: bool) -> None:
    """Name workers that end with an error while the chief trains, and end the training if it has not begun."""
    left = dict(enumerate(workers, 1))
    while not over.wait(_LOOK_EVERY_S):
        for index, worker in list(left.items()):
            if worker.poll() is None:
                continue
            message = f"worker {index} (pid {worker.pid}) has ended with {worker.returncode}"
            lost: bool | None = False
            if worker.returncode and not allow_missing:
                lost = lose_worker(f"{message} before the training has begun; its error stands above.")
                if lost is None:
                    continue  # the chief does not train yet: look again later
            del left[index]
            if worker.returncode and not lost and not over.is_set():
                LOGGER.warning("%s. The others go on without it.", message)


def end_with_parent() -> None:
    """Make the kernel end this process (SIGTERM) when the one that started it ends, even by SIGKILL. Linux only."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _start_ps() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "distrib", "ps", "--address", "127.0.0.1:0", "--with-parent"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def _address(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    ready, _, _ = select.select([server.stdout], [], [], _START_TIMEOUT_S)
    line = server.stdout.readline() if ready else ""
    if not line.startswith(READY):
        server.kill()
        raise PeerLostError(
            f"A parameter server did not start within {_START_TIMEOUT_S:g} s, or ended with {server.wait()}."
        )
    return line.removeprefix(READY).strip()


def _config(addresses: list[str], num_workers: int, kind: str, index: int) -> str:
    # Workers do not listen; TF_CONFIG wants an address for each.
    cluster = {"chief": ["localhost:0"], "worker": ["localhost:0"] * (num_workers - 1), "ps": addresses}
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


def end_processes(workers: list[subprocess.Popen[bytes]], servers: list[subprocess.Popen[str]]) -> list[str]:
    """Wait for all; what does not end by itself is killed. Returns what is wrong with the parameter servers."""
    deadline = time.monotonic() + _END_TIMEOUT_S
    names: list[tuple[str, subprocess.Popen[bytes] | subprocess.Popen[str]]] = []
    names += [("", worker) for worker in workers]
    names += [(f"ps {index}", server) for index, server in enumerate(servers)]
    wrong = []
    for name, process in names:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            how = f"did not end within {_END_TIMEOUT_S:g} s of the chief, and was killed"
        else:
            how = f"ended with {process.returncode}" if process.returncode else ""
        if process.stdout is not None:
            process.stdout.close()
        if how and name:
            wrong.append(f"{name} {how}.")
    return wrong
