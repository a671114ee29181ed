"""Liveness: whether the other ranks live, and what they wait for, as messages and collectives ask for it."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Liveness(ABC):
    """What one rank knows of the others, and reports to them."""

    @abstractmethod
    def enter(self, sequence: int) -> None:
        """Say that this rank begins collective `sequence`. Raises as `check` does."""

    @abstractmethod
    def check(self) -> None:
        """Raise `PeerLostError` or `ProtocolError` if a peer is known to be lost or to have failed."""

    @abstractmethod
    def waits(self, waits: bool) -> None:
        """Say that this rank begins to wait for another one, or has done so."""

    @abstractmethod
    def late(self, sequence: int) -> str:
        """The ranks that collective `sequence` waits for, as text; empty if unknown.

        They are those that have not left it and do not wait for another one themselves.
        """

    @abstractmethod
    def at_step(self, step: int) -> None:
        """Say at which training step this rank is."""

    @abstractmethod
    def confirm(self) -> None:
        """Return when this rank is known to be one of the job still. Raises `PeerLostError` if it is not."""
