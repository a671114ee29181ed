"""UnreachablePeer: waits for another ps whose stream has broken, up to a limit.

One that is frozen or cut off may come back, and is waited for. Where nothing listens any more it is gone: then there
is nothing to wait for but the word that the job has ended, which that ps may have heard a little earlier.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

from distrib.base import background
from distrib.base.logs import LOGGER

_LOOK_EVERY_S = 0.3
_TELL_AFTER_S = 1.0
_GONE_S = 1.0


class UnreachablePeer:
    """Waits for one other ps.

    Args:
        name: such as `ps:1`.
        address: where it listens; empty where that is not known.
        limit_s: seconds to wait for it.
        ending: set when the job has ended; then it may go.
        lost: called, from another thread, with why it is lost.
    """

    def __init__(
        self, name: str, address: str, limit_s: float, ending: threading.Event, lost: Callable[[str], None]
    ) -> None:
        self._name, self._address, self._limit_s = name, address, limit_s
        self._ending, self._lost = ending, lost
        self._is_back: threading.Event | None = None

    def begin(self) -> None:
        """Its stream has broken."""
        if self._is_back is None or self._is_back.is_set():
            self._is_back = is_back = threading.Event()
            background.start(
                lambda: self._wait(is_back),
                "unreachable",
                lambda error: self._lost(f"{self._name} is lost: {error!r}"),
            )

    def end(self) -> None:
        """Stop waiting."""
        if self._is_back is not None:
            self._is_back.set()

    def _wait(self, is_back: threading.Event) -> None:
        begin, gone_since, is_told = time.monotonic(), 0.0, False
        while not is_back.wait(_LOOK_EVERY_S) and not self._ending.is_set():
            now = time.monotonic()
            gone_since = (gone_since or now) if is_gone(self._address) else 0.0
            if gone_since and now - gone_since > _GONE_S:
                self._lost(f"{self._name} is lost")
                return
            if now - begin > self._limit_s:
                self._lost(f"{self._name} is lost: it has not answered for {self._limit_s:g} s")
                return
            if not is_told and now - begin > _TELL_AFTER_S:
                is_told = True
                LOGGER.warning(
                    "%s at %s does not answer, and is waited for, up to %g s.",
                    *(self._name, self._address or "an unknown address", self._limit_s),
                )
        if is_told and is_back.is_set():
            LOGGER.warning("%s is back.", self._name)


def is_gone(address: str) -> bool:
    """Whether nothing listens at `host:port`: its host refuses connections, which a frozen process does not."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), 1.0).close()
    except ConnectionRefusedError:
        return True
    except (OSError, ValueError):
        pass
    return False
