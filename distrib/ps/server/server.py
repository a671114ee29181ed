"""Server: a ps task. Listens until the chief ends the job, then exits."""

from __future__ import annotations

import ipaddress
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
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
from distrib.ps.server.checkpoint_writer import CheckpointOptions
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
"""So long a worker that is late may ask, and is told that the job has ended."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Server:
    """A ps that listens.

    Args:
        address: `host:port`; port 0 takes a free one.
        token: what workers must know; empty for nothing.
        insecure: listen off the loopback interface without TLS.
        share_memory: use the memory that workers of this host offer.
        checkpoints: where to save, and whether to begin from there; None for nowhere.
        chief_timeout_s: seconds to wait for a chief that is gone.
        ps_timeout_s: seconds to wait for another ps that does not answer.
        others: hosts of the cluster, from which workers connect.

    Attributes:
        port: where it listens.
        reason: why the job ended; empty for a good end.
        interrupted_by: the signal that ended this ps before its job; 0 if none did.

    Raises:
        ConfigError: the address cannot be had, or is not loopback without `insecure`.
    """

    def __init__(
        self,
        address: str,
        token: str = "",
        insecure: bool = False,
        share_memory: bool = True,
        checkpoints: CheckpointOptions | None = None,
        chief_timeout_s: float = 60.0,
        ps_timeout_s: float = 30.0,
        others: Sequence[str] = (),
    ) -> None:
        host = address.rpartition(":")[0].strip("[]")
        if not _is_loopback(host) and not (token and (insecure or tls_from_environment())):
            raise ConfigError(
                f"ps expects a loopback address, such as 127.0.0.1:0. Received: {address}. On other addresses "
                f"it needs --token-file, and TLS ({', '.join(VARIABLES)}) or, on a network that you trust, "
                "--insecure."
            )
        keep_freed_memory()
        self._ended = threading.Event()
        self._signals: SimpleQueue[int] = SimpleQueue()  # one that a signal handler may write to
        self.reason, self.interrupted_by = "", 0
        self._threads = ThreadPoolExecutor(MAX_CALLS, thread_name_prefix="work")
        self._server = grpc.server(
            self._threads,
            options=SERVER,
            maximum_concurrent_rpcs=MAX_CALLS,
        )
        self._servicer = servicer = Servicer(
            token, self.end, share_memory, checkpoints, chief_timeout_s, ps_timeout_s
        )
        add_to_server(servicer, self._server)
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )
        try:
            self.port = listen(self._server, address)
            if not _is_loopback(host) and is_loopback(host) and (outside := own_address(others)):
                listen(self._server, f"{outside}:{self.port}")  # as Debian's 127.0.1.1 is this host's alone
        except RuntimeError as error:
            raise ConfigError(f"ps cannot listen on {address}: is the port in use? ({error})") from None
        self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        self._health.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        self._server.start()

    def wait(self) -> None:
        """Return when the job has ended, and the workers know; or when a signal ends this ps, and all is saved.

        Raises:
            StorageError: a signal ended it, and what it keeps is not saved.
        """
        while not self._ended.is_set() and not self.interrupted_by:
            number = self._signals.get()
            if number == signal.SIGUSR1:
                self._servicer.save_now()
            elif number:
                self._let_chief_end()
                self.interrupted_by = 0 if self._ended.is_set() else number
        try:
            if self.interrupted_by:
                self._servicer.save_last(_SAVE_S)
        finally:
            self._wind_up()

    def _let_chief_end(self) -> None:
        """Serve on while a chief that the same signal may have reached saves and ends; a second signal ends that."""
        deadline, had_chief = time.monotonic() + _CHIEF_S, self._servicer.has_chief
        while self._servicer.has_chief and (left := deadline - time.monotonic()) > 0:
            try:
                if self._signals.get(timeout=min(left, 0.1)) != signal.SIGUSR1:
                    return
            except Empty:
                pass
        if had_chief and not self._servicer.has_chief:
            self._ended.wait(_STOP_S)

    def _wind_up(self) -> None:
        self._health.enter_graceful_shutdown()
        self._servicer.close()
        if not self.interrupted_by:
            self._servicer.wait_for_workers(_LINGER_S)
        self._stop(_GRACE_S)

    def ended_within(self, seconds: float) -> bool:
        """Whether the job ends before so many seconds are over."""
        return self._ended.wait(seconds)

    def close(self) -> None:
        """Stop listening at once."""
        self._ended.set()
        self._signals.put(0)
        self._stop(None)

    def _stop(self, grace_s: float | None) -> None:
        self._servicer.close()
        # gRPC may wait for ever for a call that it has just ended by itself, as its bytes were no message. What it
        # starts in a daemon thread is one too.
        stopping = threading.Thread(
            target=lambda: self._server.stop(grace_s).wait(), name="stop", daemon=True
        )
        stopping.start()
        stopping.join((grace_s or 0.0) + _CANCEL_S)
        self._threads.shutdown(wait=False)

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
        if not self._ended.is_set():
            self.reason = reason
            self._ended.set()
            self._signals.put(0)


def run(
    address: str,
    token: str,
    insecure: bool,
    share_memory: bool,
    checkpoints: CheckpointOptions | None,
    chief_timeout_s: float,
    ps_timeout_s: float,
    on_ready: Callable[[int], None],
    others: Sequence[str] = (),
) -> None:
    """Be a ps until the job ends well.

    Args:
        address: as of `Server`.
        token: as of `Server`.
        insecure: as of `Server`.
        share_memory: as of `Server`.
        checkpoints: as of `Server`.
        chief_timeout_s: as of `Server`.
        ps_timeout_s: as of `Server`.
        on_ready: called with the port.
        others: as of `Server`.

    Raises:
        PeerLostError: the chief failed, the chief or another ps is lost, or SIGTERM or SIGHUP has ended it.
        KeyboardInterrupt: SIGINT has ended it.
        StorageError: a signal ended it, and what it keeps is not saved.
    """
    server = Server(
        address, token, insecure, share_memory, checkpoints, chief_timeout_s, ps_timeout_s, others
    )
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            signal.signal(number, lambda received, frame: server.on_signal(received))
    on_ready(server.port)
    server.wait()
    if server.reason:
        raise PeerLostError(f"The job of the ps at {address} has ended: {server.reason}.")
    if server.interrupted_by == signal.SIGINT:
        raise KeyboardInterrupt
    if server.interrupted_by:
        name = signal.Signals(server.interrupted_by).name
        kept = f"what it keeps is saved in {checkpoints.folder}" if checkpoints else "it saves nothing"
        raise PeerLostError(f"{name} has ended the ps at {address} before its job; {kept}.")


def serve(task: Task) -> None:
    """Be the ps that the cluster describes until the job ends well, where a script is started as one.

    Args:
        task: the ps.

    Raises:
        ConfigError, PeerLostError, KeyboardInterrupt: as of `run`.
    """
    address = task.cluster.task_address("ps", task.index)
    others = hosts_of_cluster(os.environ)
    run(
        address,
        run_token(),
        False,
        True,
        None,
        60.0,
        30.0,
        lambda port: tell(f"{task} serves at {address}"),
        others,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
