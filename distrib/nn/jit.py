"""Compiled loops, where numba is installed (extra `[jit]`). Without it everything works, a little slower.

A loop that is compiled here does the same operations in the same order as its NumPy twin, so it gives the same
bits: numba neither reorders nor contracts floating point unless asked to. `DISTRIB_JIT=0` switches it off.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, TypeAlias

Loop: TypeAlias = Callable[..., Any]


def available() -> bool:
    """Whether loops are compiled in this process."""
    return os.environ.get("DISTRIB_JIT", "1") != "0" and find_spec("numba") is not None


def compiled(loop: Loop) -> Loop | None:
    """`loop` as machine code, which other runs of the same program find in numba's cache; None without numba."""
    return _compile(loop) if available() else None


@cache
def _compile(loop: Loop) -> Loop:
    import numba

    try:
        machine_code: Loop = numba.njit(cache=True, nogil=True, error_model="numpy")(loop)
    except RuntimeError:  # no folder to keep it in: neither beside the file nor in the home of the user
        machine_code = numba.njit(nogil=True, error_model="numpy")(loop)
    return machine_code
