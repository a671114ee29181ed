"""Fixtures for all tests: a fresh library, nothing left behind, and a list of what this machine could not run."""

from __future__ import annotations

import distrib  # before NumPy: all processes of a test multiply with the same kernels (distrib/host/blas_kernels.py)

# isort: split
import os
import threading
import time

import pytest
import tensorboardX  # noqa: F401  (sets an environment variable when it is first imported)
import threadpoolctl  # noqa: F401  (so does it)
from helpers import launch, mpi

from distrib.data.builtin import DEBIAN_FASHION_MNIST

_COMPLETE = os.environ.get("DISTRIB_TEST_COMPLETE") == "1"
_left_out: list[str] = []


_LONG = (
    *("launch/test_local_cluster.py", "test_exit_codes.py", "test_docs.py", "mpi/test_faults.py"),
    *(
        "ps/test_unreachable_peer.py",
        "launch/test_supervisor.py",
        "ps/test_processes.py",
        "launch/test_ssh.py",
    ),
    *(
        "ps/test_checkpoint_coordinator.py",
        "mpi/test_collectives.py",
        "test_examples.py",
        "peers/test_slurm.py",
    ),
)
"""Files whose tests take a minute and more together."""

_OF_OTHER_SOFTWARE = ("launch/test_ssh.py", "mpi/test_hosts.py", "ps/test_links.py", "peers/")


def pytest_collection_modifyitems(items) -> None:
    """Mark what needs MPICH beside Open MPI, ssh servers or network namespaces: `scripts/test_peers` runs it."""
    for item in items:
        needs = "mpich" in item.name or "both_mpis" in item.fixturenames
        if needs or any(part in item.nodeid for part in _OF_OTHER_SOFTWARE):
            item.add_marker(pytest.mark.other_software)
    # Files are shared out in this order, and a long one at the end would run alone.
    items.sort(key=lambda item: not any(part in item.nodeid for part in _LONG))


@pytest.fixture(autouse=True)
def fresh():
    """Names, seeds and scopes begin anew; a test leaves no thread and no environment variable behind."""
    distrib.reset()
    threads, environ = set(threading.enumerate()), environment()
    yield
    launch.end_what_is_left()
    assert environment() == environ, "the test changed the environment"
    deadline = time.monotonic() + 3  # threads of gRPC end a little later than what they were for
    while (left := [each for each in threading.enumerate() if each not in threads]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.01)
    assert not left, f"the test left threads: {left}"


def environment() -> dict[str, str]:
    """All variables but what pytest sets, and gRPC's, which the first import of `distrib.ps` sets."""
    passing = ("PYTEST_CURRENT_TEST", "GRPC_VERBOSITY")
    return {name: value for name, value in os.environ.items() if name not in passing}


def missing(what: str) -> None:
    """Leave a test out because this machine lacks something; in CI that is a failure."""
    if _COMPLETE:
        pytest.fail(f"{what} is missing, and nothing may be left out here")
    name = os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0]
    _left_out.append(f"{name}: no {what}")
    pytest.skip(f"no {what}")


@pytest.fixture(params=["openmpi", "mpich"])
def mpi_name(request: pytest.FixtureRequest) -> str:
    """Each MPI in turn."""
    if request.param not in mpi.available():
        missing(f"{request.param} environment")
    return str(request.param)


@pytest.fixture
def both_mpis() -> None:
    """Both of them at once."""
    for name in mpi.ENVIRONMENTS.keys() - set(mpi.available()):
        missing(f"{name} environment")


@pytest.fixture
def fashion_mnist():
    if not DEBIAN_FASHION_MNIST.is_dir():
        missing("Fashion-MNIST")
    return distrib.datasets.fashion_mnist()


def pytest_terminal_summary(terminalreporter) -> None:
    if _left_out:
        terminalreporter.section("left out on this machine")
        for line in _left_out:
            terminalreporter.line(line)
