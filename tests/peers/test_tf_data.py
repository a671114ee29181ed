"""Random pipelines of data, beside those of TensorFlow: the same elements in the same order."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers.pipelines import applied, outcome

from distrib.data import UNKNOWN_CARDINALITY, Dataset

PROGRAM = Path(__file__).parent / "programs" / "tf_data.py"
PEERS = Path(os.environ.get("DISTRIB_PEERS", Path.home() / ".cache" / "distrib" / "peers"))


@pytest.mark.timeout(180)
def test_150_pipelines():
    command = [PEERS / "tensorflow" / "bin" / "python", PROGRAM, "1000", "150"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=170, check=True)
    lines = ended.stdout.splitlines()
    assert len(lines) == 150
    for line in lines:
        seed, steps, expected = json.loads(line)
        assert "error" not in expected, (seed, steps, expected)
        found = outcome(applied(Dataset, steps, "int64", lambda x: np.repeat(x, x % 4 + 1)))
        assert found["elements"] == expected["elements"], (seed, steps)
        assert found["cardinality"] in (expected["cardinality"], UNKNOWN_CARDINALITY), (seed, steps)
