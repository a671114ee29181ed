"""Asynchronous training fails visibly, and remedies heal it; in virtual time mostly, so with many workers."""

import sys
import time

import numpy as np
import pytest
from helpers.mpi import ROOT
from helpers.ps_calls import PHASE, Calls
from helpers.replicas import difference, in_one_process

import distrib
from distrib.lab.virtual_cluster import VirtualCluster
from distrib.ps.policy.admission.rules import Rules

sys.path.insert(0, str(ROOT / "scripts"))
import staleness

rng = np.random.default_rng(1)
X, Y = rng.normal(size=(2000, 4)), rng.integers(0, 3, 2000)


def model_of(optimizer="sgd"):
    model = distrib.Sequential(
        [
            distrib.layers.Dense(8, activation="tanh", input_shape=(4,)),
            distrib.layers.Dense(3, activation="softmax"),
        ],
        dtype="float64",
        seed=3,
    )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("num_workers", [2, 4, 8, 16])
def test_mean_staleness_of_equal_workers_is_their_number_less_one(num_workers):
    cluster = VirtualCluster(model_of(), Rules("async", num_workers), [1e-3] * num_workers)
    cluster.fit(X, Y, batch_size=2, epochs=1)
    assert cluster.counts.as_json()["staleness_mean"] == pytest.approx(num_workers - 1, rel=0.1)


@pytest.mark.parametrize("num_workers", [2, 4])
def test_mean_staleness_of_equal_workers_is_that_over_a_real_server_too(num_workers):
    with EqualCalls("async", 1, num_workers) as calls:
        clients = [calls.client(worker) for worker in range(num_workers)]
        for client in clients:
            calls.register(client)
        calls.finish([(client, calls.begin(client), 0) for client in clients])
        counts = calls.sequencer.counts.as_json()
    assert counts["applied"] == 300
    assert counts["staleness_mean"] == pytest.approx(num_workers - 1, rel=0.1)


class EqualCalls(Calls):
    """Each of 300 pushes takes every worker equally long."""

    def begin(self, client):
        phase = {**PHASE, "num_examples": 300, "batch_size": 1, "steps_per_epoch": 300}
        return client.begin(1, phase, np.zeros(self.size, np.float32))

    def push(self, client, answer, sequence):
        time.sleep(0.002)
        return super().push(client, answer, sequence)


@pytest.mark.parametrize("num_workers", [1, 3, 5])
def test_sync_in_virtual_time_is_the_single_process(num_workers):
    model = model_of("adam")
    VirtualCluster(model, Rules("sync", num_workers), [1e-3] * num_workers).fit(X, Y, 64, 2)

    def body(strategy):
        alone = model_of("adam")
        alone.fit(X, Y, batch_size=64, epochs=2, verbose=0)
        return alone.get_weights()

    assert difference(model.get_weights(), in_one_process(body)) <= 1e-12


def test_a_backup_worker_makes_up_for_a_slow_one():
    """4 workers, one slowed 4 times: the time of an epoch with and without backup."""
    took = {}
    for name, seconds, backups in (
        ("no straggler", [1.0] * 3, 0),
        ("backup", [1.0, 1.0, 1.0, 4.0], 1),
        ("no backup", [1.0, 1.0, 4.0], 0),
    ):
        rules = Rules("sync", len(seconds), num_backup_workers=backups)
        cluster = VirtualCluster(model_of(), rules, seconds, jitter=0.02)
        took[name] = cluster.fit(X, Y, batch_size=60, epochs=1)[0]
    assert took["backup"] == pytest.approx(took["no straggler"], rel=0.15)
    assert took["no backup"] / took["no straggler"] == pytest.approx(4, rel=0.15)


def test_fast_workers_do_more_in_async():
    cluster = VirtualCluster(model_of(), Rules("async", 3), [1.0, 1.0, 3.0])
    cluster.fit(X, Y, batch_size=4, epochs=1)
    pushed = [cluster.sequencer.members[worker].counts.pushed for worker in range(3)]
    assert pushed[0] / pushed[2] == pytest.approx(3, rel=0.1)


@pytest.mark.timeout(120)
def test_plain_async_loses_accuracy_and_remedies_bring_it_back():
    final = {
        name: staleness.run(staleness.REMEDIES[name], seed=0)["accuracy"][-1]
        for name in ("sync", "async", "drop, staleness > 3", "rate / 4")
    }
    assert final["sync"] > 0.95
    assert final["async"] < final["sync"] - 0.05, "plain async did not fail"
    assert max(final["drop, staleness > 3"], final["rate / 4"]) > final["sync"] - 0.01
