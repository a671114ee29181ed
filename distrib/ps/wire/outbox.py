"""Outbox: messages to another process that survive broken streams.

Each message is kept until the other side has said that it has it. When a stream breaks, the next one goes on behind
what has arrived, so that no message is lost, and none comes twice. A new stream ends the one before it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from distrib.base.errors import ProtocolError

Message = TypeVar("Message")


class Outbox(Generic[Message]):
    """Messages in order, numbered from 0."""

    def __init__(self) -> None:
        self._kept: deque[Message] = deque()
        self._first = 0  # number of the first that is kept
        self._stream = 0  # of the newest
        self._is_closed = False
        self._changed = threading.Condition(threading.RLock())

    def __len__(self) -> int:
        """How many messages are kept."""
        return len(self._kept)

    def put(self, message: Message) -> None:
        """Send this next."""
        with self._changed:
            self._kept.append(message)
            self._changed.notify_all()

    def acknowledge(self, count: int) -> None:
        """The other side has the first `count` messages. Raises `ProtocolError` if fewer were sent."""
        with self._changed:
            if count > self._first + len(self._kept):
                raise ProtocolError(
                    f"Expected at most {self._first + len(self._kept)} messages that have arrived. Received: {count}."
                )
            while self._first < count:
                self._kept.popleft()
                self._first += 1

    def stream(self, count: int) -> Iterator[Message]:
        """Begin a stream whose other side has the first `count` messages; returns what is to be sent over it.

        The iterator waits for messages, and ends when another stream begins or this one is ended, or behind the last
        message when the outbox is closed.

        Raises:
            ProtocolError: messages behind `count` are no longer kept, or were never sent.
        """
        with self._changed:
            if count < self._first:
                raise ProtocolError(
                    f"Expected a process that has {self._first} messages at least. Received: one that has {count}: "
                    "was it started again?"
                )
            self.acknowledge(count)
            self._stream += 1
            self._changed.notify_all()
            return self._rest(self._stream, count)

    def _rest(self, stream: int, number: int) -> Iterator[Message]:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: stream != self._stream or self._is_closed or self._has(number)  # noqa: B023
                )
                if stream != self._stream or not self._has(number):
                    return
                message = self._kept[number - self._first]
            yield message
            number += 1

    def _has(self, number: int) -> bool:
        return number < self._first + len(self._kept)

    def end_stream(self) -> None:
        """The newest stream is broken; what it has not delivered is kept."""
        with self._changed:
            self._stream += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing more is put."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
