"""`distrib.tf.config.threading`: the launcher gives each process its cores; these calls have no effect."""

from __future__ import annotations

from distrib.base.arguments import checked
from distrib.base.logs import LOGGER

__all__ = ["set_inter_op_parallelism_threads", "set_intra_op_parallelism_threads"]


@checked
def set_inter_op_parallelism_threads(num_threads: int) -> None:
    """Has no effect."""
    LOGGER.info(
        "set_inter_op_parallelism_threads has no effect: OMP_NUM_THREADS sets the threads of a process."
    )


@checked
def set_intra_op_parallelism_threads(num_threads: int) -> None:
    """Has no effect."""
    LOGGER.info(
        "set_intra_op_parallelism_threads has no effect: OMP_NUM_THREADS sets the threads of a process."
    )
