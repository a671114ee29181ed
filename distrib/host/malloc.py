"""Settings of malloc: keeps freed memory, since every message needs some of it again.

By default glibc gives large blocks back to the kernel when they are freed, and gets them anew, page by page, each
page cleared: with messages of a few 100 kB that was a quarter of a parameter server's processor time (ADR 0010).
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 256 << 20
_MAPPED_FROM_BYTES = 4 << 20
"""Larger blocks, which no message is, go back as before."""


def keep_freed_memory() -> None:
    """Keep up to 256 MiB of it from now on, in this process. Does nothing where the C library is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
