"""ProgressPage: the progress of a rank (collective, step, waiting or not), in memory that outlives it.

A rank that is killed cannot say where it was, and its last beat is up to a quarter of a second old. So it writes
down where it is in 24 bytes of anonymous shared memory, and the server or the host agent of its host maps the same
bytes: the rank has nothing to send, and nothing is left behind.

Whether it waits is a count of how often it has begun and ended to wait: odd while it does. So of two looks at a
page the greater one is the later one.
"""

from __future__ import annotations

import mmap
import os
import struct

_FORMAT = struct.Struct("=qqq")
_NUMBER = struct.Struct("=q")  # each is written alone: the numbers come from several threads


class ProgressPage:
    """A rank's side.

    Attributes:
        fd: the file descriptor that the lookout maps.
    """

    def __init__(self) -> None:
        self.fd = -1
        self.sequence, self.step, self.waits = -1, 0, 0
        self._memory: mmap.mmap | bytearray = bytearray(_FORMAT.size)
        if hasattr(os, "memfd_create"):
            self.fd = os.memfd_create("distrib-progress")
            os.ftruncate(self.fd, _FORMAT.size)
            self._memory = mmap.mmap(self.fd, _FORMAT.size)
        self.enter(-1)

    def enter(self, sequence: int) -> None:
        """This rank is in collective `sequence`."""
        self.sequence = sequence
        _NUMBER.pack_into(self._memory, 0, sequence)
        self.wait(False)

    def at_step(self, step: int) -> None:
        """This rank is at training step `step`."""
        self.step = step
        _NUMBER.pack_into(self._memory, 8, step)

    def wait(self, waits: bool) -> None:
        """This rank begins to wait for another one, or has done so."""
        if waits is not is_odd(self.waits):
            self.waits += 1
            _NUMBER.pack_into(self._memory, 16, self.waits)


class ProgressReader:
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

    def read(self) -> tuple[int, int, int] | None:
        """Collective, step, and count of waits; None if they are not known."""
        if self._memory is None:
            return None
        sequence, step, waits = _FORMAT.unpack_from(self._memory)
        return sequence, step, waits


def is_odd(waits: int) -> bool:
    """Whether a rank with this count of waits is waiting."""
    return waits % 2 == 1
