"""The pytest plugin `distrib`: every test begins anew, and tests may run on several replicas.

    @pytest.mark.distrib(ranks=3)
    def test_all_reduce(strategy):
        assert strategy.reduce("SUM", 1.0) == 3

It is loaded by `pytest_plugins = ["distrib.testing.pytest_plugin"]` in `conftest.py`, or by
`pytest -p distrib.testing.pytest_plugin`. A test with the marker is called on every replica, each a thread, in the
scope of its strategy. With `strict_tests` a test that
sleeps, or draws from NumPy's global generator, fails.
"""

from __future__ import annotations

import inspect
import io
import sys
import time
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import pytest

_LEGACY = (
    "rand",
    "randn",
    "randint",
    "random",
    "random_sample",
    "normal",
    "uniform",
    "choice",
    "shuffle",
    "permutation",
)


def pytest_configure(config: Any) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        "distrib(ranks=1, strategy='mirrored'): run the test on so many replicas, each with the argument `strategy`; "
        "strategy='ps-sync' or 'ps-async' for workers around a parameter server",
    )


@pytest.fixture(autouse=True)
def distrib_reset() -> None:
    """Seed, names and scopes begin anew with every test, once distrib is imported."""
    if "distrib" in sys.modules:
        sys.modules["distrib"].reset()


@pytest.fixture
def strategy() -> Any:
    """That of the replica, in a test with the marker `distrib`; else the default strategy."""
    from distrib.strategies.default import get_strategy

    return get_strategy()


@pytest.fixture
def strict_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sleeping, and drawing from NumPy without a seed, is an error."""

    def refuse(what: str, advice: str) -> Any:
        def refused(*args: Any, **kwargs: Any) -> Any:
            raise AssertionError(f"A test must not call {what}. {advice}")

        return refused

    monkeypatch.setattr(time, "sleep", refuse("time.sleep", "Wait for what it waits for, with a deadline."))
    for name in _LEGACY:
        advice = "Draw from numpy.random.default_rng(seed)."
        monkeypatch.setattr(np.random, name, refuse(f"numpy.random.{name}", advice))
    made = np.random.default_rng

    def seeded(seed: Any = None) -> Any:
        if seed is None:
            raise AssertionError("A test must not call numpy.random.default_rng() without a seed.")
        return made(seed)

    monkeypatch.setattr(np.random, "default_rng", seeded)


@pytest.fixture
def no_downloads(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A downloader that is a dict: URL -> content. What is not in it cannot be fetched, at once."""
    contents: dict[str, bytes] = {}

    def opened(url: Any, *args: Any, **kwargs: Any) -> Any:
        if url not in contents:
            raise urllib.error.URLError(f"not in the fixture no_downloads, which has {sorted(contents)}")
        return io.BytesIO(contents[url])

    monkeypatch.setattr(urllib.request, "urlopen", opened)
    return contents


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> bool | None:
    """Call a test with the marker on every replica."""
    marker = pyfuncitem.get_closest_marker("distrib")
    if marker is None:
        return None
    from distrib.testing.replicas import run_on_replicas, run_on_workers

    ranks, name = marker.kwargs.get("ranks", 1), marker.kwargs.get("strategy", "mirrored")
    wanted = inspect.signature(pyfuncitem.obj).parameters
    arguments = {key: value for key, value in pyfuncitem.funcargs.items() if key in wanted}

    def body(strategy: Any) -> None:
        own = {**arguments, "strategy": strategy} if "strategy" in wanted else arguments
        pyfuncitem.obj(**own)

    if name.startswith("ps-"):
        run_on_workers(ranks, body, mode=name.removeprefix("ps-"))
    else:
        run_on_replicas(ranks, body, name)
    return True
