"""Trains alone, and then with the others in several ways: `contract.py DTYPE WAY...`.

A way is an implementation of the collectives, or `central`. With float64 its collectives are tried by themselves
before (`collectives.py`). Rank 0 prints JSON values: of every way, the collectives
it used, how far weights and losses are from those that it trained alone, and the hash of every rank's weights; and
as `alone` the hash of what each rank trained alone, and the number of `hosts`.
"""

import hashlib
import json
import os
import socket
import sys

import numpy as np
from collectives import add_exactly

import distrib

dtype, *ways = sys.argv[1:]
rng = np.random.default_rng(0)
x, y, weight = rng.normal(size=(150, 64)), rng.integers(0, 3, 150), rng.uniform(0.2, 3.0, 150)


def train(strategy):
    """20 steps; the last batch of an epoch is smaller."""
    distrib.reset()
    with strategy.scope():
        model = distrib.Sequential(
            [
                distrib.layers.Dense(128, activation="tanh", kernel_regularizer="l2", input_shape=(64,)),
                distrib.layers.Dropout(0.3),
                distrib.layers.Dense(3, activation="softmax"),
            ],
            dtype=dtype,
            seed=5,
        )
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    history = model.fit(x, y, batch_size=40, epochs=5, sample_weight=weight, verbose=0)
    assert model.optimizer.iterations == 20
    return np.concatenate([each.ravel() for each in model.get_weights()]), np.array(history.history["loss"])


def made(way):
    if way == "central":
        return distrib.CentralStorageStrategy()
    return distrib.MirroredStrategy(distrib.CommunicationOptions(way, timeout_s=20, check_every=1))


def hashes(strategy, weights):
    mine = [int(hashlib.sha256(weights.tobytes()).hexdigest()[:12], 16)]
    return [int(each) for each in strategy.gather(mine)]


os.environ["DISTRIB_ALLOW_ALONE"] = "1"  # each trains by itself first
weights, losses = train(distrib.DefaultStrategy())
result = {}
for way in ways:
    strategy = made(way)
    if way != "central" and dtype == "float64":
        add_exactly(strategy)
    found, found_losses = train(strategy)
    result["alone"] = hashes(strategy, weights)
    result[way] = {
        "collectives": type(strategy.communicator).__name__,
        "weights": float(np.linalg.norm(found - weights) / np.linalg.norm(weights)),
        "losses": float(abs(found_losses / losses - 1).max()),
        "hashes": hashes(strategy, found),
    }
result["hosts"] = len(set(strategy.communicator.gather_bytes(socket.gethostname().encode())))
if strategy.is_chief:
    print("RESULT", json.dumps(result), flush=True)
