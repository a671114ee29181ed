"""Server: a ps task. Listens until the chief ends the job, then exits."""

from __future__ import annotations

import ipaddress
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from distrib.base.errors import ConfigError, PeerLostError
from distrib.base.logs import tell
from distrib.cluster.config import hosts_of_cluster
from distrib.cluster.task import Task
from distrib.host.addresses import is_loopback, own_address
from distrib.host.malloc import keep_freed_memory
from distrib.ps.server.node import Inspection
from distrib.ps.server.server_options import DEFAULTS, ServerOptions
from distrib.ps.server.servicer import Servicer, add_to_server
from distrib.ps.wire.framing import SERVICE
from distrib.ps.wire.grpc_options import MAX_CALLS, SERVER
from distrib.ps.wire.requirements import run_token
from distrib.ps.wire.tls import VARIABLES, listen, tls_from_environment

_GRACE_S = 0.3
_CANCEL_S = 0.4
_SAVE_S = 8.0
_CHIEF_S = 5.0
"""For a chief that has got the same signal as this ps, to save with its help and to end the job."""

_STOP_S = 1.0
"""For the chief to say that the job has ended, once its connection is closed."""

_LINGER_S = 1.2
"""Seconds for which a late worker may still ask, and learn that the job has ended."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Server:
    """A ps that listens.

    Args:
        address: `host:port`; port 0 takes a free one.
        options: all else.

    Attributes:
        address: as given.
        port: where it listens.
        servicer: what serves its calls.
        grpc_server: what listens.
        has_ended: set when the job has ended.
        reason: why the job ended; empty for a good end.
        interrupted_by: the signal that ended this ps before its job; 0 if none did.

    Raises:
        ConfigError: the address cannot be had, or is not loopback without `insecure`.
    """

    def __init__(self, address: str, options: ServerOptions = DEFAULTS) -> None:
        host = address.rpartition(":")[0].strip("[]")
        is_safe = options.token and (options.insecure or tls_from_environment())
        if not _is_loopback(host) and not is_safe:
            raise ConfigError(
                f"ps expects a loopback address, such as 127.0.0.1:0. Received: {address}. On other addresses "
                f"it needs --token-file, and TLS ({', '.join(VARIABLES)}) or, on a network that you trust, "
                "--insecure."
            )
        keep_freed_memory()
        self.has_ended = threading.Event()
        self._signals: SimpleQueue[int] = SimpleQueue()  # one that a signal handler may write to
        self.address, self.options = address, options
        self.reason, self.interrupted_by = "", 0
        self._threads = ThreadPoolExecutor(MAX_CALLS, thread_name_prefix="work")
        self.grpc_server = grpc.server(
            self._threads,
            options=SERVER,
            maximum_concurrent_rpcs=MAX_CALLS,
        )
        self.servicer = Servicer(options, self.end)
        add_to_server(self.servicer, self.grpc_server)
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc_server)
        reflection.enable_server_reflection(
            (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self.grpc_server
        )
        try:
            self.port = listen(self.grpc_server, address)
            if not _is_loopback(host) and is_loopback(host) and (outside := own_address(options.others)):
                listen(
                    self.grpc_server, f"{outside}:{self.port}"
                )  # as Debian's 127.0.1.1 is this host's alone
        except RuntimeError as error:
            raise ConfigError(f"ps cannot listen on {address}: is the port in use? ({error})") from None
        self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        self._health.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        self.grpc_server.start()

    def wait(self) -> None:
        """Return when the job has ended, and the workers know; or when a signal ends this ps, and all is saved.

        Raises:
            StorageError: a signal ended it, and what it keeps is not saved.
        """
        while not self.has_ended.is_set() and not self.interrupted_by:
            number = self._signals.get()
            if number == signal.SIGUSR1:
                self.servicer.save_now()
            elif number:
                self._let_chief_end()
                self.interrupted_by = 0 if self.has_ended.is_set() else number
        try:
            if self.interrupted_by:
                self.servicer.save_last(_SAVE_S)
        finally:
            self._wind_up()

    def _let_chief_end(self) -> None:
        """Serve on while a chief that the same signal may have reached saves and ends; a second signal ends that."""
        deadline, had_chief = time.monotonic() + _CHIEF_S, self.servicer.has_chief
        while self.servicer.has_chief and (left := deadline - time.monotonic()) > 0:
            try:
                if self._signals.get(timeout=min(left, 0.1)) != signal.SIGUSR1:
                    return
            except Empty:
                pass
        if had_chief and not self.servicer.has_chief:
            self.has_ended.wait(_STOP_S)

    def _wind_up(self) -> None:
        self._health.enter_graceful_shutdown()
        self.servicer.close()
        if not self.interrupted_by:
            self.servicer.wait_for_workers(_LINGER_S)
        self._stop(_GRACE_S)

    def close(self) -> None:
        """Stop listening at once."""
        self.has_ended.set()
        self._signals.put(0)
        self._stop(None)

    def _stop(self, grace_s: float | None) -> None:
        self.servicer.close()
        # gRPC may wait for ever for a call that it has just ended by itself, as its bytes were no message. What it
        # starts in a daemon thread is one too.
        stopping = threading.Thread(
            target=lambda: self.grpc_server.stop(grace_s).wait(), name="stop", daemon=True
        )
        stopping.start()
        stopping.join((grace_s or 0.0) + _CANCEL_S)
        self._threads.shutdown(wait=False)

    def inspect(self) -> Inspection:
        """Copies of what this ps keeps now, for tests and debuggers."""
        return self.servicer.node.inspect()

    def on_signal(self, number: int) -> None:
        """Save now after SIGUSR1; after others end this ps, but not its job: workers wait for it to come back.

        Args:
            number: of the signal.
        """
        self._signals.put(number)

    def end(self, reason: str = "") -> None:
        """End the job here.

        Args:
            reason: why; empty for a good end.
        """
        if not self.has_ended.is_set():
            self.reason = reason
            self.has_ended.set()
            self._signals.put(0)


def run(server: Server) -> None:
    """Serve until the job ends well.

    Args:
        server: a ps that listens. Signals end it, or make it save, where this is the main thread.

    Raises:
        PeerLostError: the chief failed, the chief or another ps is lost, or SIGTERM or SIGHUP has ended it.
        KeyboardInterrupt: SIGINT has ended it.
        StorageError: a signal ended it, and what it keeps is not saved.
    """
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            signal.signal(number, lambda received, frame: server.on_signal(received))
    server.wait()
    if server.reason:
        raise PeerLostError(f"The job of the ps at {server.address} has ended: {server.reason}.")
    if server.interrupted_by == signal.SIGINT:
        raise KeyboardInterrupt
    if server.interrupted_by:
        name, checkpoints = signal.Signals(server.interrupted_by).name, server.options.checkpoints
        kept = f"what it keeps is saved in {checkpoints.folder}" if checkpoints else "it saves nothing"
        raise PeerLostError(f"{name} has ended the ps at {server.address} before its job; {kept}.")


def serve(task: Task) -> None:
    """Be the ps that the cluster describes until the job ends well, where a script is started as one.

    Args:
        task: the ps.

    Raises:
        ConfigError, PeerLostError, KeyboardInterrupt: see `run`.
    """
    address = task.cluster.task_address("ps", task.index)
    server = Server(address, ServerOptions(run_token(), others=hosts_of_cluster(os.environ)))
    tell(f"{task} serves at {address}")
    run(server)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
