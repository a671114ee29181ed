"""ProcessStatus: whether a process of this host runs, and how it died, although it is not a child of ours (Linux).

Only a parent can wait for a process. But until the parent has done so, /proc shows the exit status of the dead
process (proc(5), last field of `stat`), and afterwards a pidfd, opened while it lived, can be asked for it
(Linux 6.15 or later: `PIDFD_GET_INFO` with `PIDFD_INFO_EXIT`, linux/pidfd.h).
"""

from __future__ import annotations

import os
import select
import signal
import struct
import sys

_GET_INFO = 0xC040FF0B  # _IOWR(0xFF, 11, 64 bytes)
_INFO_EXIT = 1 << 3
_INFO = struct.Struct("<Q52xi")  # mask, ..., exit_code
_PATIENCE_S = 0.5
"""Between the closing of its connections and its end a process may still write a core dump."""


def _exited(code: int) -> str:
    return f"exited with code {code} without a word"


ENDED_BY_OPEN_MPI = _exited(14)
"""How Open MPI ends a process in which it notices that another one is gone (MPI_ERR_UNKNOWN, which is fatal)."""


class ProcessStatus:
    """Asks how a process fares or died.

    Args:
        pid: a process on this host that is alive now.

    Attributes:
        pidfd: a file descriptor that becomes readable when the process ends; -1 if there is none.
    """

    def __init__(self, pid: int) -> None:
        self._pid, self.pidfd = pid, -1
        if sys.platform == "linux":
            try:
                self.pidfd = os.pidfd_open(pid)
            except OSError:
                pass  # an old kernel, or a sandbox that forbids it: the cause stays unknown

    def cause(self) -> str:
        """How it died, such as `killed by signal 9 (SIGKILL)`; empty if that is not known."""
        status = self._status()
        if status is None:
            return ""
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            hint = ", possibly out of memory" if number == signal.SIGKILL else ""
            return f"killed by signal {number} ({signal.Signals(number).name}{hint})"
        return _exited(os.WEXITSTATUS(status))

    def is_stopped(self) -> bool:
        """Whether the process is stopped by a signal, as by SIGSTOP, but not by a debugger."""
        return self._fields()[:1] == [b"T"]

    def _status(self) -> int | None:
        if self.pidfd < 0:
            return None
        select.select([self.pidfd], [], [], _PATIENCE_S)
        # Its parent may wait for it between the two looks, so the first one comes again.
        for look in (self._status_of_reaped, self._status_of_zombie, self._status_of_reaped):
            if (status := look()) is not None:
                return status
        return None

    def _status_of_reaped(self) -> int | None:
        import fcntl

        info = bytearray(_INFO.pack(_INFO_EXIT, 0))
        try:
            fcntl.ioctl(self.pidfd, _GET_INFO, info)
        except OSError:
            return None
        mask, status = _INFO.unpack(info)
        return int(status) if mask & _INFO_EXIT else None

    def _status_of_zombie(self) -> int | None:
        fields = self._fields()
        return int(fields[-1]) if fields[:1] == [b"Z"] else None

    def _fields(self) -> list[bytes]:
        """The fields of /proc/PID/stat, from the state on; empty if there are none."""
        try:
            with open(f"/proc/{self._pid}/stat", "rb") as file:
                return file.read().rpartition(b")")[2].split()
        except OSError:
            return []
