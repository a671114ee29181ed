"""Compiled loops, where numba is installed (extra `[jit]`). Without it everything works, a little slower.

A loop that is compiled here does the same operations in the same order as its NumPy twin, so it gives the same
bits: numba neither reorders nor contracts floating point unless asked to. `DISTRIB_JIT=0` switches it off.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, TypeAlias

from distrib.base import environment

Loop: TypeAlias = Callable[..., Any]


def available() -> bool:
    """Whether loops are compiled in this process."""
    return environment.flag(environment.JIT) and find_spec("numba") is not None


def compiled(loop: Loop, *arguments: Any) -> Loop | None:
    """`loop` as machine code, which other runs of the same program find in numba's cache; None without numba.

    Args:
        loop: a function of module level.
        arguments: what it is called with once, so that it is compiled now and not within the first step. Their
            types, and whether arrays are contiguous, are those of later calls.
    """
    if not available():
        return None
    machine_code = _compiler(loop, keep=True)
    try:
        machine_code(*arguments)
    except OSError:  # the folder of the cache is full or read-only
        machine_code = _compiler(loop, keep=False)
        machine_code(*arguments)
    return machine_code


@cache
def _compiler(loop: Loop, keep: bool) -> Loop:
    import numba

    try:
        machine_code: Loop = numba.njit(cache=keep, nogil=True, error_model="numpy")(loop)
    except (
        RuntimeError
    ):  # there is no folder for a cache, neither beside the file nor in the home of the user
        return _compiler(loop, keep=False)
    return machine_code
