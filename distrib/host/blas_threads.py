"""BLAS threads: a rank takes its share of the cores it may run on.

OpenBLAS starts a thread for each core in every process; n ranks of a host would fight for its cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

_SET_BY_USER = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def threads_of_rank(mine: set[int], neighbours: Sequence[set[int]]) -> int:
    """How many threads a rank may use.

    Args:
        mine: cores this rank may run on.
        neighbours: cores that each rank of this host may run on, this one included.

    Returns:
        The rank's cores divided by the number of ranks that may run on them; at least 1.
    """
    sharing = sum(1 for cores in neighbours if cores & mine)
    return max(1, len(mine) // max(1, sharing))


def blas_threads() -> int:
    """How many threads BLAS uses in this process now."""
    from threadpoolctl import threadpool_info

    return max((info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"), default=1)


def limit_blas_threads(threads: int) -> Callable[[], None]:
    """Limit BLAS to `threads` threads, unless the user's environment says how many.

    Returns:
        What undoes it.
    """
    if any(name in os.environ for name in _SET_BY_USER):
        return lambda: None
    from threadpoolctl import threadpool_limits  # looks through the loaded libraries: not at import

    limits = threadpool_limits(threads, user_api="blas")
    return limits.restore_original_limits  # type: ignore[no-any-return]
