"""Workers and ps on hosts of their own: links that are cut and come back, and a ps that is frozen for a while.

Two jobs meet each fault at once: a synchronous one on one ps, and an asynchronous one on two.
"""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import virtual_hosts as hosts
from conftest import missing
from helpers.replicas import in_one_process
from helpers.tasks import Task

pytestmark = pytest.mark.timeout(120)
NOTICED = "waits for the ps"

MODEL = """
import numpy as np
import distrib

EPOCHS, NUM_STEPS = 40, 10

def fit(*callbacks):
    distrib.set_random_seed(4)
    x = np.random.default_rng(0).normal(size=(120, 64))
    model = distrib.Sequential(
        [distrib.layers.Dense(50, "tanh", input_shape=(64,)), distrib.layers.Dense(10)], dtype="float64"
    )
    model.compile("adam", "mse")
    return model.fit(x, x[:, :10], batch_size=12, epochs=EPOCHS, verbose=0, callbacks=callbacks).history["loss"]
"""

# At epoch 4 every job waits, so that the fault comes in the middle of all of them.
PROGRAM = f"""{MODEL}
import json, sys, time
from pathlib import Path

strategy = distrib.ParameterServerStrategy(mode=sys.argv[1])

class Hold(distrib.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        print("EPOCH", epoch, flush=True)
        deadline = time.monotonic() + 40
        while epoch == 4 and not Path(sys.argv[2]).exists():
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def on_train_batch_begin(self, batch, logs=None):
        time.sleep(0.002)

with strategy.scope():
    losses = fit(Hold())
counts = {{name: strategy.counters[name] for name in ("pushed", "applied", "dropped")}}
print("ENDED WELL", json.dumps({{"losses": losses, **counts}}), flush=True)
"""


@pytest.fixture
def two_hosts():
    if hosts.why_not():
        missing(hosts.why_not())
    with hosts.Hosts(2) as made:
        yield made


@pytest.fixture(scope="module")
def expected():
    namespace = {}
    exec(MODEL, namespace)
    losses = in_one_process(lambda strategy: namespace["fit"]())
    return losses, namespace["EPOCHS"] * namespace["NUM_STEPS"]


class Job:
    """A chief on one host, and its ps on the other."""

    def __init__(self, two_hosts, folder, mode, ports):
        token, program = folder / "token", folder / "program.py"
        program.write_text(PROGRAM)
        token.write_text("of this run")
        token.chmod(0o600)
        agent, python = two_hosts.agent, sys.executable
        addresses = [f"10.77.0.2:{port}" for port in ports]
        flags = ("--insecure", "--no-shared-memory", "--token-file", token)
        self.ps = [
            Task((agent, "h2", python, "-m", "distrib", "ps", "--address", address, *flags))
            for address in addresses
        ]
        for ps, address in zip(self.ps, addresses, strict=True):
            ps.until(f"ps listens on {address}\n")
        config = {"cluster": {"chief": ["h1:0"], "ps": addresses}, "task": {"type": "chief", "index": 0}}
        self.chief = Task(
            (agent, "h1", python, program, mode, folder / "go_on"),
            TF_CONFIG=json.dumps(config),
            DISTRIB_TOKEN_FILE=str(token),
            PYTHONUNBUFFERED="1",
        )

    def ended_well(self, expected):
        assert self.chief.ended(60) == 0, self.chief.seen
        end = time.monotonic()
        for ps in self.ps:
            assert ps.ended(5) == 0, ps.seen
        assert time.monotonic() - end < 2 + 1
        result = json.loads(self.chief.seen.partition("ENDED WELL ")[2].splitlines()[0])
        losses, num_steps = expected
        assert result["losses"] == pytest.approx(losses, rel=1e-9)
        assert result["applied"] == num_steps
        assert result["pushed"] == result["applied"] + result["dropped"]

    def close(self):
        for task in (self.chief, *self.ps):
            task.close()


@pytest.fixture
def jobs(two_hosts, tmp_path):
    made = []
    try:
        for mode, ports in (("sync", [5123]), ("async", [5124, 5125])):
            made.append(Job(two_hosts, tmp_path, mode, ports))
        for job in made:
            job.chief.until("EPOCH 4")
        (tmp_path / "go_on").touch()
        for job in made:
            job.chief.until("EPOCH 5")
        yield made
    finally:
        for job in made:
            job.close()


def session(two_hosts, state):
    namespace = two_hosts.namespaces["h2"]
    subprocess.run(["ip", "-n", namespace, "link", "set", "v2", state], check=True)


def tc(two_hosts, *arguments):
    namespace = two_hosts.namespaces["h2"]
    subprocess.run(["tc", "-n", namespace, "qdisc", *arguments], check=True)


def sent(two_hosts):
    namespace = two_hosts.namespaces["h2"]
    shown = subprocess.run(
        ["ip", "-n", namespace, "-s", "-j", "link", "show", "v2"], check=True, capture_output=True
    )
    return json.loads(shown.stdout)[0]["stats64"]["tx"]["bytes"]


def route(two_hosts, action):
    namespace = two_hosts.namespaces["h2"]
    subprocess.run(["ip", "-n", namespace, "route", action, "blackhole", "10.77.0.1/32"], check=True)


def is_noticed_and_healed(jobs, expected, begin, heal, within_s):
    """The fault is noticed by all in time; when it is over, training goes on as if nothing had been."""
    try:
        for job in jobs:
            job.chief.until(NOTICED, deadline_s=10)
            assert job.chief.process.poll() is None, "the fault came too late"
        # The bound of the row, and some for a machine that is busy.
        assert time.monotonic() - begin < within_s + 2
    finally:
        heal()
    for job in jobs:
        job.ended_well(expected)


def test_c9_a_frozen_ps(jobs, expected):
    begin = time.monotonic()

    def all_get(number):
        for job in jobs:  # of two ps, the one that does not decide
            os.killpg(job.ps[-1].process.pid, number)

    all_get(signal.SIGSTOP)
    is_noticed_and_healed(jobs, expected, begin, lambda: all_get(signal.SIGCONT), 2)


def test_c10_a_link_that_is_down(two_hosts, jobs, expected):
    begin = time.monotonic()
    session(two_hosts, "down")
    is_noticed_and_healed(jobs, expected, begin, lambda: session(two_hosts, "up"), 2)


def test_c12_a_link_that_is_dead_one_way(two_hosts, jobs, expected):
    begin = time.monotonic()
    route(two_hosts, "add")  # answers are lost, pushes are not
    is_noticed_and_healed(jobs, expected, begin, lambda: route(two_hosts, "del"), 3)


def test_c11_a_link_that_is_down_for_a_second(two_hosts, jobs, expected):
    session(two_hosts, "down")
    before = [len(job.chief.seen) for job in jobs]
    time.sleep(1)
    assert [len(job.chief.seen) for job in jobs] == before, "it was not down"
    session(two_hosts, "up")
    for job in jobs:
        job.ended_well(expected)
        assert "Error" not in job.chief.seen


def test_c13_a_slow_link_is_not_a_dead_one(two_hosts, jobs, expected):
    tc(two_hosts, "add", "dev", "v2", "root", "tbf", "rate", "1mbit", "burst", "4kb", "latency", "9s")
    before = sent(two_hosts)
    # An answer of 30 kB takes 0.25 s, and waits for the one of the other job; pings wait behind both.
    time.sleep(3.5)
    assert 5e4 < sent(two_hosts) - before < 5e5, "the link was not slow"
    assert not any(job.chief.process.poll() for job in jobs), "the fault came too late"
    tc(two_hosts, "del", "dev", "v2", "root")
    for job in jobs:
        job.ended_well(expected)
        assert NOTICED not in job.chief.seen
