"""Waiting for a peer: spin briefly, then yield, then sleep, with an eye on the deadline and on the peers.

A peer on another core answers within microseconds: spin. If it takes longer, the peer may be waiting for this
very core: yield it. If it takes longer still, the peer is at something else: sleep, and look every 10 ms
whether all peers are well.

A thread that waits beside one that computes sleeps at once (`patiently`): it would take the core from it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence

from distrib.base.errors import PeerLostError
from distrib.base.logs import LOGGER
from distrib.comm.messages.header import Header
from distrib.comm.messages.transport import Request, Transport

_SPINS = 200
_PATIENT_SPINS = 5
_YIELD_S = 0.002
_SLEEP_S = 0.0002
_SHORT_SLEEP_S = 0.0001
_CHECK_EVERY_S = 0.01
WARN_AFTER_S = 5.0

DEFAULT_TIMEOUT_S = 600.0


_of_thread = threading.local()


def patiently() -> None:
    """From here on this thread sleeps while it waits."""
    _of_thread.patient = True


def wait(
    requests: Sequence[Request], transport: Transport, peer: int, header: Header, timeout_s: float
) -> None:
    """Return when every request is done.

    Args:
        requests: messages to and from `peer` (and its like).
        transport: knows whether the peers are well.
        peer: rank that is waited for.
        header: the collective this is part of.
        timeout_s: seconds after which to give up.

    Raises:
        PeerLostError: the deadline passed, or a peer is lost.
    """
    patient = getattr(_of_thread, "patient", False)
    for request in requests:
        for _ in range(_PATIENT_SPINS if patient else _SPINS):
            if request.Test():
                break
        else:
            yield_s, sleep_s = (0.0, _SHORT_SLEEP_S) if patient else (_YIELD_S, _SLEEP_S)
            _wait_long(request, transport, peer, header, timeout_s, yield_s, sleep_s)


def _wait_long(
    request: Request,
    transport: Transport,
    peer: int,
    header: Header,
    timeout_s: float,
    yield_s: float,
    sleep_s: float,
) -> None:
    begin = time.monotonic()
    next_check, warned = begin + _CHECK_EVERY_S, False
    transport.liveness.waits(True)
    while not request.Test():
        now = time.monotonic()
        transport.progress()
        if now - begin < yield_s:
            os.sched_yield()
            continue
        time.sleep(sleep_s)
        if now < next_check:
            continue
        next_check = now + _CHECK_EVERY_S
        transport.liveness.check()
        if now - begin > timeout_s:
            raise PeerLostError(
                f"Rank {transport.rank} waited {timeout_s:g} s in {header}. {_late(transport, header, peer)} "
                "Does every rank make the same calls? Raise CommunicationOptions(timeout_s=...) for slow steps.",
                calls_differ=True,
            )
        if now - begin > WARN_AFTER_S and not warned:
            warned = True
            LOGGER.warning(
                "waiting for %.0f s in %s. %s", now - begin, header, _late(transport, header, peer)
            )
    transport.liveness.waits(False)  # not where it fails: who gives up is not late


def _late(transport: Transport, header: Header, peer: int) -> str:
    """Who is waited for: not the neighbour `peer` if that only waits itself."""
    return (
        transport.liveness.late(header.sequence)
        or f"It waits for {transport.who(peer)}; no rank is known to be late."
    )
