"""Server: a ps task. Listens until the chief has ended the job, and exits by itself."""

from __future__ import annotations

import ipaddress
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from distrib.comm.address import is_loopback, own_address
from distrib.errors import ConfigError, PeerLostError
from distrib.ps.allocator import keep_freed_memory
from distrib.ps.credentials import VARIABLES, listen, tls_from_environment
from distrib.ps.options import MAX_CALLS, SERVER
from distrib.ps.saver import Checkpoints
from distrib.ps.servicer import Servicer, add_to_server
from distrib.ps.wire import SERVICE

_GRACE_S = 0.3
_CANCEL_S = 0.4
_SAVE_S = 8.0
_LINGER_S = 1.2
"""So long a worker that is late may ask, and is told that the job has ended."""


class Server:
    """A ps that listens.

    Args:
        address: `host:port`; port 0 takes a free one.
        token: what workers must know; empty for nothing.
        insecure: listen off the loopback interface without TLS.
        share_memory: use the memory that workers of this host offer.
        checkpoints: where to save, and whether to begin from there; None for nowhere.
        chief_timeout_s: seconds to wait for a chief that is gone.
        others: hosts of the cluster, from which workers connect.

    Attributes:
        port: where it listens.
        reason: why the job ended; empty for a good end.
        is_interrupted: whether this ps was told to end before its job.

    Raises:
        ConfigError: the address cannot be had, or is not loopback without `insecure`.
    """

    def __init__(
        self,
        address: str,
        token: str = "",
        insecure: bool = False,
        share_memory: bool = True,
        checkpoints: Checkpoints | None = None,
        chief_timeout_s: float = 60.0,
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
        self.reason, self.is_interrupted = "", False
        self._threads = ThreadPoolExecutor(MAX_CALLS, thread_name_prefix="work")
        self._server = grpc.server(
            self._threads,
            options=SERVER,
            maximum_concurrent_rpcs=MAX_CALLS,
        )
        self._servicer = servicer = Servicer(token, self.end, share_memory, checkpoints, chief_timeout_s)
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
        """Return when the job has ended, and the workers know; or when this ps was told to end, and all is saved.

        Raises:
            StorageError: it was told to end, and what it keeps is not saved.
        """
        self._ended.wait()
        try:
            if self.is_interrupted:
                self._servicer.save_last(_SAVE_S)
        finally:
            self._wind_up()

    def _wind_up(self) -> None:
        self._health.enter_graceful_shutdown()
        self._servicer.close()
        if not self.is_interrupted:
            self._servicer.wait_for_workers(_LINGER_S)
        self._stop(_GRACE_S)

    def ended_within(self, seconds: float) -> bool:
        """Whether the job ends before so many seconds are over."""
        return self._ended.wait(seconds)

    def close(self) -> None:
        """Stop listening at once."""
        self._ended.set()
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

    def interrupt(self) -> None:
        """End this ps, but not its job: workers wait for it to come back."""
        self.is_interrupted = not self._ended.is_set()
        self._ended.set()

    def end(self, reason: str = "") -> None:
        """End the job here.

        Args:
            reason: why; empty for a good end.
        """
        if not self._ended.is_set():
            self.reason = reason
            self._ended.set()


def run(
    address: str,
    token: str,
    insecure: bool,
    share_memory: bool,
    checkpoints: Checkpoints | None,
    chief_timeout_s: float,
    on_ready: Callable[[int], None],
    others: Sequence[str] = (),
) -> bool:
    """Be a ps until the job ends well, or until a signal ends it; returns whether the job has ended.

    Args:
        address: as of `Server`.
        token: as of `Server`.
        insecure: as of `Server`.
        share_memory: as of `Server`.
        checkpoints: as of `Server`.
        chief_timeout_s: as of `Server`.
        on_ready: called with the port.
        others: as of `Server`.

    Raises:
        PeerLostError: the chief failed, or the chief or another ps is lost.
        StorageError: a signal ended it, and what it keeps is not saved.
    """
    server = Server(address, token, insecure, share_memory, checkpoints, chief_timeout_s, others)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.interrupt())
    on_ready(server.port)
    server.wait()
    if server.reason:
        raise PeerLostError(f"The job of the ps at {address} has ended: {server.reason}.")
    return not server.is_interrupted


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
