"""Place: where a rank is (collective and step), in memory that outlives it.

A rank that is killed cannot say where it was, and its last beat is up to a quarter of a second old. So it writes
down where it is in 16 bytes of anonymous shared memory, and the hub or the outpost of its host maps the same
bytes: the rank has nothing to send, and nothing is left behind.
"""

from __future__ import annotations

import mmap
import os
import struct

_FORMAT = struct.Struct("=qq")


class Place:
    """A rank's side.

    Attributes:
        fd: the file descriptor that the lookout maps.
    """

    def __init__(self) -> None:
        self.fd = -1
        self.sequence, self.step = -1, 0
        self._memory: mmap.mmap | bytearray = bytearray(_FORMAT.size)
        if hasattr(os, "memfd_create"):
            self.fd = os.memfd_create("distrib-place")
            os.ftruncate(self.fd, _FORMAT.size)
            self._memory = mmap.mmap(self.fd, _FORMAT.size)
        self.enter(-1)

    def enter(self, sequence: int) -> None:
        """This rank is in collective `sequence`."""
        self.sequence = sequence
        _FORMAT.pack_into(self._memory, 0, sequence, self.step)

    def at_step(self, step: int) -> None:
        """This rank is at training step `step`."""
        self.step = step
        _FORMAT.pack_into(self._memory, 0, self.sequence, step)


class PlaceOf:
    """The lookout's side: where another process of this host is, or was when it died.

    Args:
        pid: the process.
        fd: the file descriptor there.
    """

    def __init__(self, pid: int, fd: int) -> None:
        self._memory: mmap.mmap | None = None
        try:
            with open(f"/proc/{pid}/fd/{fd}", "rb") as file:
                self._memory = mmap.mmap(file.fileno(), _FORMAT.size, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            pass  # a sandbox that forbids it: its beats have to do

    def read(self) -> tuple[int, int] | None:
        """Collective and step; None if they are not known."""
        if self._memory is None:
            return None
        sequence, step = _FORMAT.unpack_from(self._memory)
        return sequence, step
