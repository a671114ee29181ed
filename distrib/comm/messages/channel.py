"""CheckedChannel: messages whose headers are compared. Every collective is made of them.

A message is a header, with float64 scalars behind it, and a payload. The header goes first; the payload is
received only after the header has been found equal to the receiver's own, so that a disagreement is an error on
the spot and never a wrong sum or an overrun buffer.

A payload travels in segments, so that one segment is combined while the next is under way.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Self, TypeAlias

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ProtocolError
from distrib.base.logs import DEBUG, LOGGER
from distrib.comm.counters import Counters
from distrib.comm.messages.header import HEADER_BYTES, MAX_MESSAGE_BYTES, Operation, difference
from distrib.comm.messages.transport import Request, Transport
from distrib.comm.messages.wait import wait
from distrib.comm.reduce_op import ReduceOp

Combine: TypeAlias = np.ufunc

SEGMENT_BYTES = 256 * 1024
"""Small enough for a segment to stay in the second-level cache between arriving and being combined."""

_NO_SCALARS: Array = np.empty(0)


class CheckedChannel:
    """Sends and receives the messages of one collective after the other.

    Args:
        transport: moves the bytes.
        timeout_s: seconds to wait for a peer before giving up.
    """

    def __init__(self, transport: Transport, timeout_s: float) -> None:
        self.transport = transport
        self.timeout_s = timeout_s
        self.counters = Counters()
        self._outgoing = np.zeros(MAX_MESSAGE_BYTES, np.uint8)
        self._incoming = np.zeros(MAX_MESSAGE_BYTES, np.uint8)
        self._outgoing_scalars = self._outgoing[HEADER_BYTES:].view(np.float64)
        self._incoming_scalars = self._incoming[HEADER_BYTES:].view(np.float64)
        self._segments = [np.empty(SEGMENT_BYTES, np.uint8) for _ in range(2)]

    def collective(
        self,
        operation: Operation,
        vector: Array,
        op: ReduceOp = ReduceOp.SUM,
        num_scalars: int = 0,
        root: int = 0,
    ) -> Self:
        """Begin a collective: `with messenger.collective(...):` the messages inside belong to it.

        Raises:
            ProtocolError: the vector cannot be sent, or a peer is in another collective.
            PeerLostError: a peer is lost or does not come.
        """
        self.header = self.transport.begin(operation, vector, op, num_scalars, root)
        self._packed = self.header.pack()
        self._outgoing[:HEADER_BYTES] = np.frombuffer(self._packed, np.uint8)
        self._message_bytes = HEADER_BYTES + 8 * num_scalars
        self._begin = time.monotonic()
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        if DEBUG:
            elapsed_ms = 1e3 * (time.monotonic() - self._begin)
            LOGGER.debug("r%d | %s %.3f ms", self.transport.rank, self.header, elapsed_ms)

    def send(self, dest: int, payload: Array, scalars: Array = _NO_SCALARS) -> list[Request]:
        """Begin to send a message. `payload` must not change, nor another send begin, before it is done."""
        self._outgoing_scalars[: scalars.size] = scalars
        requests = [self.transport.send(self._outgoing[: self._message_bytes], dest)]
        for segment in _segments(payload):
            requests.append(self.transport.send(segment, dest))
        self.counters.sent(self._message_bytes, payload.nbytes)
        return requests

    def receive(
        self, source: int, payload: Array, scalars: Array = _NO_SCALARS, combine: Combine | None = None
    ) -> None:
        """Receive a message.

        Args:
            source: rank it comes from.
            payload: overwritten by what is received, or combined with it.
            scalars: overwritten by the scalars behind the header.
            combine: a ufunc of two arguments such as `np.add`; None to overwrite.

        Raises:
            ProtocolError: the sender is in another collective.
            PeerLostError: it is lost or does not come.
        """
        self._wait([self.transport.receive(self._incoming, source)], source)
        received = self._incoming[:HEADER_BYTES].tobytes()
        if received != self._packed:
            raise ProtocolError(
                f"Rank {self.transport.rank} received from {self.transport.who(source)} a message that does "
                f"not belong here: {difference(self.header, received)}. Every rank must make the same calls, "
                "in the same order, with arrays of the same size and dtype.",
                calls_differ=True,
            )
        scalars[...] = self._incoming_scalars[: scalars.size]
        if combine is None:
            requests = [self.transport.receive(segment, source) for segment in _segments(payload)]
            self._wait(requests, source)
        else:
            self._receive_and_combine(source, payload, combine)

    def finish(self, requests: list[Request], dest: int) -> None:
        """Wait until a message is sent."""
        self._wait(requests, dest)

    def _receive_and_combine(self, source: int, payload: Array, combine: Combine) -> None:
        """While one segment is combined, the next is already being received into the other buffer."""
        segments = list(_segments(payload))
        buffers = [buffer.view(payload.dtype) for buffer in self._segments]
        requests: list[Request] = []
        for index in range(min(2, len(segments))):
            requests.append(self.transport.receive(buffers[index][: segments[index].size], source))
        for index, segment in enumerate(segments):
            received = buffers[index % 2][: segment.size]
            self._wait([requests[index]], source)
            combine(segment, received, out=segment)
            if index + 2 < len(segments):
                requests.append(
                    self.transport.receive(buffers[index % 2][: segments[index + 2].size], source)
                )

    def _wait(self, requests: list[Request], peer: int) -> None:
        wait(requests, self.transport, peer, self.header, self.timeout_s)


def _segments(payload: Array) -> Iterator[Array]:
    elements = SEGMENT_BYTES // payload.itemsize
    for begin in range(0, payload.size, elements):
        yield payload[begin : begin + elements]
