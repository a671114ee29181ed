"""How a process on this host died, although it was not our child (Linux 6.15 or later; elsewhere: not known).

Only a parent can wait for a process. But a pidfd, opened while the process lived, can be asked for its exit
status after its parent has reaped it (`PIDFD_GET_INFO` with `PIDFD_INFO_EXIT`, linux/pidfd.h).
"""

from __future__ import annotations

import os
import select
import signal
import struct
import sys
import time

_GET_INFO = 0xC040FF0B  # _IOWR(0xFF, 11, 64 bytes)
_INFO_EXIT = 1 << 3
_INFO = struct.Struct("<Q52xi")  # mask, ..., exit_code
_PATIENCE_S = 0.1


class Postmortem:
    """Asks how a process died.

    Args:
        pid: a process on this host that is alive now.
    """

    def __init__(self, pid: int) -> None:
        self._pidfd = -1
        if sys.platform == "linux":
            try:
                self._pidfd = os.pidfd_open(pid)
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
        return f"exited with code {os.WEXITSTATUS(status)} without a word"

    def close(self) -> None:
        """Forget the process."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def _status(self) -> int | None:
        if self._pidfd < 0:
            return None
        import fcntl

        give_up = time.monotonic() + _PATIENCE_S
        select.select([self._pidfd], [], [], _PATIENCE_S)
        while time.monotonic() < give_up:  # its parent may not have reaped it yet
            info = bytearray(_INFO.pack(_INFO_EXIT, 0))
            try:
                fcntl.ioctl(self._pidfd, _GET_INFO, info)
                mask, status = _INFO.unpack(info)
                if mask & _INFO_EXIT:
                    return int(status)
            except OSError:
                pass
            time.sleep(0.002)
        return None
