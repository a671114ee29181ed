"""A worker that is away for so long that the others go on without it: frozen and woken, or alone on its host."""

import json
import os
import signal
import sys
import time

import pytest
import virtual_hosts as hosts
from conftest import missing
from helpers.ps import on_workers
from helpers.replicas import in_one_process
from helpers.tasks import Task

pytestmark = pytest.mark.timeout(120)

MODEL = """
import numpy as np
import distrib

EPOCHS = 12

def fit(*callbacks):
    distrib.set_random_seed(4)
    x = np.random.default_rng(0).normal(size=(120, 6))
    model = distrib.Sequential(
        [distrib.layers.Dense(9, "tanh", input_shape=(6,)), distrib.layers.Dense(2)], dtype="float64"
    )
    model.compile("adam", "mse")
    return model.fit(x, x[:, :2], batch_size=10, epochs=EPOCHS, verbose=0, callbacks=callbacks).history["loss"]
"""

# Before epoch 8 the chief waits for the end of the fault, so that training is not over before it.
PROGRAM = f"""{MODEL}
import json, sys, time
from pathlib import Path

go_on, ps_timeout_s = Path(sys.argv[1]), float(sys.argv[2])
strategy = distrib.ParameterServerStrategy(ps_timeout_s=ps_timeout_s)

class Tell(distrib.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        print("EPOCH", epoch, flush=True)

    def on_train_batch_begin(self, batch, logs=None):
        time.sleep(0.005)
        deadline = time.monotonic() + 40
        while self.model.run.epoch == 8 and strategy.is_chief and not go_on.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)

with strategy.scope():
    losses = fit(Tell())
counts = {{name: strategy.counters[name] for name in ("pushed", "applied", "dropped")}}
print("ENDED WELL", json.dumps({{"losses": losses, **counts}}), flush=True)
"""


def test_a_worker_that_never_comes_is_given_up(caplog):
    """As one that was killed before it had joined: the rounds are done without it, and train the same."""
    namespace = {}
    exec(MODEL.replace("EPOCHS = 12", "EPOCHS = 2"), namespace)
    losses = on_workers(3, lambda strategy: namespace["fit"](), absent=1, start_timeout_s=0.5)
    assert "workers that never came: [2]" in caplog.text
    assert (
        losses[0] == losses[1] == pytest.approx(in_one_process(lambda strategy: namespace["fit"]()), rel=1e-9)
    )


class Job:
    """A ps, a chief and a worker, each perhaps on a host of its own."""

    def __init__(self, folder, ps_address, prefixes=((), ()), ps_timeout_s=60.0):
        token, program = folder / "token", folder / "program.py"
        token.write_text("of this run")
        token.chmod(0o600)
        program.write_text(PROGRAM)
        self.go_on = folder / "go_on"
        python = sys.executable
        flags = ("--insecure", "--no-shared-memory", "--token-file", token)
        self.ps = Task((*prefixes[0], python, "-m", "distrib", "ps", "--address", ps_address, *flags))
        self.tasks = [self.ps]
        try:
            self.ps.until("ps listens on ")
            address = self.ps.seen.partition("ps listens on ")[2].split()[0]
            for job, prefix in zip(("chief", "worker"), prefixes, strict=True):
                cluster = {"chief": ["h:0"], "worker": ["h:0"], "ps": [address]}
                config = json.dumps({"cluster": cluster, "task": {"type": job, "index": 0}})
                command = (
                    *prefix,
                    python,
                    "-m",
                    "distrib.launch.task.entrypoint",
                    program,
                    self.go_on,
                    ps_timeout_s,
                )
                self.tasks.append(Task(command, TF_CONFIG=config, DISTRIB_TOKEN_FILE=str(token)))
        except BaseException:
            self.__exit__()
            raise
        _, self.chief, self.worker = self.tasks

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for task in self.tasks:
            task.close()

    def has_counted_everything_once(self):
        assert self.chief.ended() == 0, self.chief.seen
        result = json.loads(self.chief.seen.partition("ENDED WELL ")[2].splitlines()[0])
        namespace = {}
        exec(MODEL, namespace)
        expected = in_one_process(lambda strategy: namespace["fit"]())
        assert result["losses"] == pytest.approx(expected, rel=1e-9)
        assert result["applied"] == 2 * 12 * namespace["EPOCHS"]
        assert result["pushed"] == result["applied"] + result["dropped"]


def test_a8_a_worker_that_wakes_joins_again_and_nothing_counts_twice(tmp_path):
    with Job(tmp_path, "127.0.0.1:0") as job:
        job.worker.until("EPOCH 3")
        os.kill(job.worker.process.pid, signal.SIGSTOP)
        job.ps.until("worker 1 is gone")
        job.chief.until("EPOCH 8")  # the others go on without it
        job.worker.until("EPOCH 3")
        said = len(job.worker.seen)
        os.kill(job.worker.process.pid, signal.SIGCONT)
        job.worker.until("EPOCH 8", after=said)  # it takes part again
        job.go_on.touch()
        job.has_counted_everything_once()
        assert job.worker.ended() == 0, job.worker.seen
        assert "ENDED WELL" in job.worker.seen


def test_d4_a_worker_alone_on_its_host_ends_and_the_side_of_the_chief_goes_on(tmp_path):
    if hosts.why_not():
        missing(hosts.why_not())
    with hosts.Hosts(2) as two:
        prefixes = ((two.agent, "h1"), (two.agent, "h2"))
        with Job(tmp_path, "10.77.0.1:5124", prefixes, ps_timeout_s=2.0) as job:
            job.worker.until("EPOCH 3")
            two.set_link("h2", "down")
            cut = time.monotonic()
            assert job.worker.process.poll() is None, "the fault came too late"
            job.ps.until("worker 1 is gone")
            job.chief.until("EPOCH 8")
            job.go_on.touch()
            job.has_counted_everything_once()
            assert job.worker.ended() == 75, job.worker.seen
            assert time.monotonic() - cut < 12
            assert "waited 2 s for the ps at 10.77.0.1:5124" in job.worker.seen
            assert "ENDED WELL" not in job.worker.seen
            assert job.ps.ended() == 0, job.ps.seen
