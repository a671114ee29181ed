"""ReadTimeout: limits how long a peer may pause in the middle of a call.

A message of a call after the first costs 0.2 us for it; a call of one message, as a push of at most 1 MiB, nothing.

A worker may be silent between its calls for as long as it computes. But once it has begun a call, the rest has to
come: a peer that is alive and sends half a vector, and then nothing, would keep a thread and its lease for ever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from distrib.base import background
from distrib.base.logs import LOGGER

Message = TypeVar("Message")

_LOOKS = 10
"""Checks within the limit."""


class ReadTimeout:
    """Limits pauses within calls, for all streams of one ps.

    Args:
        limit_s: seconds to wait for the next message of a call.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._awaited: dict[object, tuple[float, str, Callable[[], object]]] = {}
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def watched(
        self, messages: Iterator[Message], peer: str, give_up: Callable[[], object]
    ) -> Iterator[Message]:
        """The same messages, each of which has to come in time, counted from when it is asked for.

        Args:
            messages: of a stream.
            peer: name of the sender, for messages.
            give_up: called, from another thread, when one has not come; it ends the stream.
        """
        if self._thread is None:
            self._thread = background.start(self._watch, "read timeout")
        key = object()
        while True:
            self._awaited[key] = time.monotonic() + self._limit_s, peer, give_up
            try:
                message = next(messages, None)
            finally:
                self._awaited.pop(key, None)
            if message is None:
                return
            yield message

    def close(self) -> None:
        """Watch no longer."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(self._limit_s / _LOOKS):
            now = time.monotonic()
            for key, (until, peer, give_up) in list(self._awaited.items()):
                if now > until and self._awaited.pop(key, None) is not None:
                    LOGGER.warning(
                        "%s has begun a call, and sent no more of it for %g s. Its stream is ended.",
                        *(peer, self._limit_s),
                    )
                    try:
                        give_up()
                    except Exception:
                        LOGGER.exception("The stream of %s cannot be ended.", peer)
