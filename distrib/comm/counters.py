"""How many bytes a rank has sent, and how long its training waited for them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Bytes and messages sent by this rank.

    Attributes:
        payload_bytes: bytes of vectors.
        header_bytes: bytes of headers and the scalars behind them.
        messages: number of messages, header and payload of one transfer counted as one.
        seconds: that steps spent in the collectives of their gradients and values, waiting for slower ranks included.
    """

    payload_bytes: int = 0
    header_bytes: int = 0
    messages: int = 0
    seconds: float = 0.0

    def sent(self, header_bytes: int, payload_bytes: int) -> None:
        """Count one message."""
        self.header_bytes += header_bytes
        self.payload_bytes += payload_bytes
        self.messages += 1
