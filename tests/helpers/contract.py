"""The contract judged under a launcher: what n processes train beside what one process trains."""

import json
import re

from helpers.mpi import run

CLASSES = {
    "ring": "RingCommunicator",
    "shared_memory": "SharedMemoryCommunicator",
    "hierarchical": "HierarchicalCommunicator",
    "mpi": "MPICommunicator",
    "central": "SharedMemoryCommunicator",
}


def contract(launch, num_ranks, dtype, *ways, num_hosts=1):
    """Run `programs/contract.py`, which tries the collectives too; returns the hash of what each rank trained alone.

    All ranks must end with the same bytes; and in float64, with what each trains alone.
    """
    ended = run(launch, "contract.py", dtype, *ways, deadline_s=60)
    assert ended.code == 0, ended.output
    assert "distrib:" not in ended.output
    result = json.loads(re.search("RESULT (.*)", ended.output)[1])
    alone = result.pop("alone")
    assert result.pop("hosts") == num_hosts
    assert list(result) == list(ways), result
    for way, found in result.items():
        assert found["collectives"] == CLASSES[way]
        assert len(found["hashes"]) == num_ranks
        assert len(set(found["hashes"])) == 1, way
        assert found["losses"] <= {"float64": 1e-9, "float32": 0.01}[dtype], way
        assert dtype == "float32" or found["weights"] <= 1e-12, way
    return alone
