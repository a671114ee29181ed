"""A training step allocates next to nothing, however large the model."""

import importlib.util

import numpy as np
import pytest
from helpers.mpi import ROOT

spec = importlib.util.spec_from_file_location("bench_core", ROOT / "scripts" / "bench" / "core.py")
core = importlib.util.module_from_spec(spec)
spec.loader.exec_module(core)


@pytest.mark.parametrize("jit", ["0", "1"])
def test_a_step_allocates_less_than_64_kib(monkeypatch, jit):
    monkeypatch.setenv("DISTRIB_JIT", jit)
    rng = np.random.default_rng(0)
    x, y = rng.random((1000, 784), dtype=np.float32), rng.integers(0, 10, 1000)
    assert core.step_peak_bytes(core.make_model(1024), x, y) < 64 * 1024
