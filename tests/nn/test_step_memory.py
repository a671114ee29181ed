"""A training step allocates next to nothing, however large the model."""

import json
import os
import subprocess
import sys

import pytest
from helpers.mpi import ROOT


@pytest.mark.parametrize("jit", ["0", "1"])
def test_a_step_allocates_less_than_64_kib(tmp_path, jit):
    file = tmp_path / "core.json"
    command = [sys.executable, ROOT / "scripts" / "bench" / "core.py", "--hidden", "1024"]
    subprocess.run(
        [*command, "--examples", "1000", "--rounds", "1", "--json", file],
        env={**os.environ, "DISTRIB_JIT": jit},
        check=True,
        timeout=50,
    )
    assert json.loads(file.read_text())["step_peak_bytes"] < 64 * 1024
