"""Every environment variable that distrib reads: its name, its default, and what it means.

The table is that of docs/environment.md. Variables of launchers only choose what to do: asking MPI means starting it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from distrib.base.errors import ConfigError


class Variable(NamedTuple):
    """An environment variable.

    Attributes:
        name: of the variable.
        default: its text where it is not set or empty.
        meaning: a sentence for the documentation.
    """

    name: str
    default: str
    meaning: str


TF_CONFIG = Variable("TF_CONFIG", "", "The cluster and the task of this process, as JSON, as in TensorFlow.")
CLUSTER_FILE = Variable(
    "DISTRIB_CLUSTER_FILE", "", "A file with the cluster, in JSON or TOML, instead of `TF_CONFIG`."
)
STRATEGY = Variable(
    "DISTRIB_STRATEGY",
    "",
    "The strategy that `strategy_from_cluster` makes, such as `mirrored` or `ps-async`.",
)
ALLOW_ALONE = Variable(
    "DISTRIB_ALLOW_ALONE", "0", "`1`: a process that a launcher started with others may train alone."
)
JIT = Variable("DISTRIB_JIT", "1", "`0`: loops are not compiled, although numba is installed.")
DEBUG = Variable("DISTRIB_DEBUG", "0", "`1`: every collective is logged, with its duration.")
CACHE = Variable("DISTRIB_CACHE", "", "The folder of downloaded data sets; `~/.cache/distrib` by default.")
TTY = Variable(
    "DISTRIB_TTY", "", "`1` or `0`: whether a person watches the output, and gets a moving progress bar."
)
TOKEN_FILE = Variable(
    "DISTRIB_TOKEN_FILE", "", "A file with the token of the run, which workers and parameter servers share."
)
TLS_CERT = Variable("DISTRIB_TLS_CERT", "", "A file with the certificate of this process, in PEM.")
TLS_KEY = Variable("DISTRIB_TLS_KEY", "", "A file with the key of that certificate, in PEM.")
TLS_CA = Variable("DISTRIB_TLS_CA", "", "A file with the certificate of the run's authority, in PEM.")
KEEPALIVE_S = Variable(
    "DISTRIB_KEEPALIVE_S",
    "1",
    "Seconds. Parameter servers: a connection breaks after 2 to 4 times as long without an answer, and is reopened.",
)
UNREACHABLE_S = Variable(
    "DISTRIB_UNREACHABLE_S",
    "3",
    "Seconds. MPI: a host whose kernel acknowledges nothing for so long is lost.",
)
HOST_SILENCE_S = Variable(
    "DISTRIB_HOST_SILENCE_S",
    "4",
    "Seconds. MPI: a host whose processes all say nothing for so long, such as a paused container, is lost.",
)
STOPPED_S = Variable(
    "DISTRIB_STOPPED_S",
    "2",
    "Seconds. MPI: a rank that a signal has stopped for so long while others run is lost.",
)
START_TIMEOUT_S = Variable(
    "DISTRIB_START_TIMEOUT_S",
    "120",
    "Seconds. MPI: how long to wait for ranks that have not made their strategy.",
)
RUN_ID = Variable("DISTRIB_RUN_ID", "", "The name of the run. Set by `distrib launch`.")
START = Variable("DISTRIB_START", "", "The number of the attempt within the run. Set by `distrib launch`.")
SSH = Variable("DISTRIB_SSH", '["ssh"]', "The ssh command of mpirun, as JSON. Set by `distrib launch`.")

VARIABLES = (
    TF_CONFIG,
    CLUSTER_FILE,
    STRATEGY,
    ALLOW_ALONE,
    JIT,
    DEBUG,
    CACHE,
    TTY,
    TOKEN_FILE,
    TLS_CERT,
    TLS_KEY,
    TLS_CA,
    KEEPALIVE_S,
    UNREACHABLE_S,
    HOST_SILENCE_S,
    STOPPED_S,
    START_TIMEOUT_S,
    RUN_ID,
    START,
    SSH,
)

MPI_LAUNCHERS = (
    ("Open MPI mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("MPICH Hydra", "PMI_RANK", "PMI_SIZE"),
    ("srun", "PMIX_RANK", "SLURM_STEP_NUM_TASKS"),
)
"""Launchers of MPI jobs, with the variables of rank and number of processes."""

LAUNCHERS = (
    *MPI_LAUNCHERS,
    ("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ("torchrun", "RANK", "WORLD_SIZE"),
)
"""Launchers that start several processes, which need not be an MPI job."""


def text(variable: Variable, environ: Mapping[str, str] | None = None) -> str:
    """The text of a variable.

    Args:
        variable: one of the table.
        environ: environment variables; `os.environ` by default.
    """
    return (os.environ if environ is None else environ).get(variable.name) or variable.default


def flag(variable: Variable) -> bool:
    """Whether a variable is set to something else than `0`."""
    return text(variable) not in ("", "0")


def seconds(variable: Variable) -> float:
    """The seconds that a variable says.

    Raises:
        ConfigError: it says no number above 0.
    """
    given = text(variable)
    try:
        value = float(given)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e6:
        raise ConfigError(f"{variable.name}: expected seconds, above 0. Received: {given!r:.80}.")
    return value


def mpi_rank() -> str | None:
    """The rank that an MPI launcher has given to this process, as text; None where none has started it."""
    return next((os.environ[rank] for _, rank, _ in MPI_LAUNCHERS if rank in os.environ), None)
