"""Six real workers, two of them slowed and one killed: every example is applied exactly once an epoch."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from helpers.mpi import ROOT
from helpers.slow_and_killed import EPOCHS, FAST_S, KILLED, NUM_EXAMPLES, NUM_WORKERS, SLOW, SLOW_S

pytestmark = pytest.mark.timeout(60)


MODES = {
    "sync, b = 1": {"mode": "sync", "num_backup_workers": 1, "batch_size": 40},
    "async": {"mode": "async", "batch_size": 2},
}


class Job:
    """That job.

    Attributes:
        told: what the ps has told of leases, pushes and updates.
        counters: of the chief.
        weights: of the chief, one for each example.
    """

    def __init__(self, folder, options):
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "helpers.slow_and_killed", json.dumps(options), folder],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OPENBLAS_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )

    def finish(self):
        """Wait for its end; it has a deadline of its own."""
        if self._process.stdout.closed:
            return
        output, _ = self._process.communicate()
        said = {file.name: file.read_text() for file in self._folder.iterdir()}
        assert self._process.returncode == 0, said
        ps, *workers = json.loads(output)
        expected = [-signal.SIGKILL if worker == KILLED else 0 for worker in range(NUM_WORKERS)]
        assert (ps, workers) == (0, expected), said
        assert f"worker {KILLED} is gone" in said["ps"]
        self.told = [json.loads(line) for line in said["ps"].splitlines() if line.startswith("{")]
        result = json.loads(said["worker 0"].splitlines()[-1])
        self.counters, self.weights = result["counters"], result["weights"]

    @property
    def updates(self):
        return [each for each in self.told if "applied" in each]

    def leased_by(self, worker):
        """All leases of this worker: pass, begin, end."""
        return [each["leased"][1:] for each in self.told if each.get("leased", [None])[0] == worker]

    def seconds_of(self, worker):
        """From every lease of this worker to its push, as the ps sees them."""
        leased = None
        for each in self.told:
            if each.get("leased", [None])[0] == worker:
                leased = each["now"]
            elif each.get("pushed") == worker:
                yield each["now"] - leased


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """One of each mode, both at once: they mostly sleep."""
    started = {mode: Job(tmp_path_factory.mktemp("job"), options) for mode, options in MODES.items()}
    yield started
    for job in started.values():
        job.finish()


@pytest.mark.parametrize("mode", MODES)
def test_each_example_is_applied_exactly_once_an_epoch(jobs, mode):
    job = jobs[mode]
    job.finish()
    applied = [push for update in job.updates for push in update["applied"]]
    times = Counter((epoch, at) for _, epoch, begin, end in applied for at in range(begin, end))
    assert times == Counter((epoch, at) for epoch in range(EPOCHS) for at in range(NUM_EXAMPLES))

    # The weights say the same.
    expected = np.zeros(NUM_EXAMPLES)
    for update in job.updates:
        for _, _, begin, end in update["applied"]:
            expected[begin:end] += update["scale"]
    np.testing.assert_allclose(job.weights, expected, rtol=1e-12)

    # So do the counters.
    counters = job.counters
    assert [update["version"] for update in job.updates] == list(range(1, counters["version"] + 1))
    assert counters["applied"] == len(applied)
    assert counters["pushed"] == counters["applied"] + counters["dropped"]

    # The killed one held a lease, which others did.
    epoch, begin, end = job.leased_by(KILLED)[-1]
    assert epoch > 0
    done_by = {who for who, when, first, last in applied if when == epoch and first < end and last > begin}
    assert done_by
    assert KILLED not in done_by

    # The slow ones were slow, and took part; and somebody came too late.
    shortest = [min(job.seconds_of(worker)) for worker in range(NUM_WORKERS)]
    for worker, seconds in enumerate(shortest):
        assert seconds >= SLOW_S if worker in SLOW else FAST_S <= seconds < SLOW_S / 2, shortest
    for worker in SLOW:
        assert counters["workers"][str(worker)]["applied"] > 0
    assert counters["dropped"] > 0
