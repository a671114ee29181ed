"""SharedSegment: memory that the processes of a host share.

It is an anonymous file (`memfd_create`, Linux): it has no name that could be left behind or be guessed, it goes with
the last process that maps it, and it does not live in /dev/shm, which is 64 MB in a default container. Another
process of the same user maps it through /proc while its maker keeps the descriptor open. A number that is drawn for
it tells it from every other file: on another host the same process and descriptor are something else. All its pages
are allocated at once, so that a lack of memory is an error here and not a SIGBUS later; and since Linux kills a
process that goes beyond the limit of its container, it looks first (`host/memory_limits.py`).

Chosen over MPI's shared windows (docs/adr/0005): the same speed, nothing collective to free, and neither /dev/shm
nor MPI is needed.
"""

from __future__ import annotations

import errno
import mmap
import os
import platform
import secrets

import numpy as np

from distrib.base.arrays import Array
from distrib.host.memory_limits import check_headroom


class SharedSegment:
    """Zeroed memory of this process that others can map.

    Args:
        num_bytes: its size.

    Attributes:
        memory: `(max(1, num_bytes),)` uint8, page-aligned; it lives as long as any view of it.
        address: what `mapped` needs, as JSON values.

    Raises:
        OSError: no such memory on this system, or not enough of it.
    """

    def __init__(self, num_bytes: int) -> None:
        if not hasattr(os, "memfd_create"):
            raise OSError("anonymous shared memory needs Linux")
        size = max(num_bytes, 1)
        check_headroom(size)
        nonce = secrets.randbits(62)
        self._fd = os.memfd_create(_name(nonce), os.MFD_CLOEXEC)
        try:
            os.posix_fallocate(self._fd, 0, size)
            self.memory = _map(self._fd, size)
        except OSError as error:
            self.close()
            if error.errno == errno.EFBIG:
                raise OSError(f"{error.strerror}. Raise the limit on the size of files (ulimit -f)") from None
            raise
        self.address = [os.getpid(), self._fd, size, nonce]

    def close(self) -> None:
        """Stop others from mapping it. Those that have mapped it keep it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def mapped(address: list[int]) -> Array:
    """The memory of another process's segment: `(num_bytes,)` uint8.

    Raises:
        OSError: it is not a process of this host and user, or it may not be looked at.
    """
    pid, fd, size, nonce = address
    path = f"/proc/{pid}/fd/{fd}"
    try:
        _check_name(path, nonce)  # what is opened may be a device, and do something when it is
        with open(path, "r+b", buffering=0) as file:
            _check_name(f"/proc/self/fd/{file.fileno()}", nonce)  # the other may have closed it meanwhile
            status = os.fstat(file.fileno())
            if (status.st_size, status.st_uid) != (size, os.geteuid()):
                raise OSError(
                    f"expected a segment of {size} bytes of user {os.geteuid()}. "
                    f"Received: {status.st_size} bytes of user {status.st_uid}."
                )
            return _map(file.fileno(), size)
    except PermissionError as error:
        remedy = (
            "Run all ranks as one user, in one container that allows it (docker run --cap-add SYS_PTRACE)"
        )
        raise OSError(f"{error}. {remedy}") from None


def _name(nonce: int) -> str:
    return f"distrib-{nonce:x}"


def _check_name(path: str, nonce: int) -> None:
    expected = f"/memfd:{_name(nonce)} (deleted)"
    if (found := os.readlink(path)) != expected:
        raise OSError(f"expected {expected} at {path}. Received: {found}.")


def _map(fd: int, size: int) -> Array:
    # All at once: a page fault for every 4 KiB would fall into the first steps.
    return np.frombuffer(mmap.mmap(fd, size, mmap.MAP_SHARED | mmap.MAP_POPULATE), np.uint8)


def why_not() -> str:
    """Why processes of this host cannot share memory; empty if they can."""
    if not hasattr(os, "memfd_create"):
        return "it needs Linux"
    if platform.machine() not in ("x86_64", "AMD64", "i686"):
        # A flag that is set after the data must be seen after the data. x86 guarantees that; Python has no fence.
        return f"it needs the memory ordering of x86, this machine is {platform.machine()}"
    return ""
