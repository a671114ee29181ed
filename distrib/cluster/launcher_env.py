"""What a launcher says about this process, read from the environment.

The variables only choose what to do; the truth is `MPI_COMM_WORLD`. They are needed because asking MPI
means starting it, and because a launcher of one MPI with the library of another gives N processes that each
believe to be alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from distrib.base import environment
from distrib.base.errors import ConfigError
from distrib.base.names import NAME_RULE, is_name
from distrib.cluster.fields import index


class Launched(NamedTuple):
    """A process of an MPI job.

    Attributes:
        launcher: who started it, such as `Open MPI mpirun`.
        rank: which process of the job this is.
        world_size: number of processes the launcher speaks of; 0 where it does not say.
    """

    launcher: str
    rank: int
    world_size: int


def started_as_one_of_several(environ: Mapping[str, str] | None = None) -> Launched | None:
    """The launcher that started this process together with others, MPI or not; None if none did.

    Args:
        environ: environment variables; `os.environ` by default.

    Raises:
        ConfigError: a variable of a launcher is not a number.
    """
    environ = os.environ if environ is None else environ
    for launcher, rank, world_size in environment.LAUNCHERS:
        if rank in environ and world_size in environ:
            job = Launched(launcher, index(environ[rank], rank), index(environ[world_size], world_size))
            # The first that is found is the innermost: mpirun within a step of Slurm.
            return job if job.world_size > 1 else None
    return None


def launched(environ: Mapping[str, str] | None = None) -> Launched | None:
    """The MPI launcher that started this process; None if none did.

    Args:
        environ: environment variables; `os.environ` by default.

    Raises:
        ConfigError: a variable of a launcher is not a number.
    """
    environ = os.environ if environ is None else environ
    for launcher, rank, world_size in environment.MPI_LAUNCHERS:
        if rank in environ:
            return Launched(
                launcher, index(environ[rank], rank), index(environ.get(world_size, "0"), world_size)
            )
    return None


def run_name() -> str:
    """The name that `distrib launch` has given to this run; empty for none.

    Raises:
        ConfigError: it is no name.
    """
    name = environment.text(environment.RUN_ID)
    if name and not is_name(name):
        raise ConfigError(f"{environment.RUN_ID.name}: a run's name has {NAME_RULE}. Received: {name!r}.")
    return name
