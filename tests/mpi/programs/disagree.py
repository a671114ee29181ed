"""Two ranks are about to train different things: `disagree.py WHAT`."""

import sys

import numpy as np

import distrib

what = sys.argv[1]
strategy = distrib.MirroredStrategy(distrib.CommunicationOptions(timeout_s=10))
odd = strategy.replica_id == strategy.num_replicas_in_sync - 1
print("FAULT FIRED", flush=True) if odd else None
rng = np.random.default_rng(0)
x, y = rng.normal(size=(40, 8)), rng.integers(0, 3, 40)
with strategy.scope():
    units = 17 if odd and what == "units" else 16
    seed = 1 if odd and what == "seed" else 0
    dtype = "float64" if odd and what == "dtype" else "float32"
    extra = [distrib.layers.Dropout(0.5)] if odd and what == "layers" else []
    model = distrib.Sequential(
        [
            distrib.layers.Dense(
                units, activation="relu", input_shape=(8,), name="x" if odd and what == "name" else None
            ),
            *extra,
            distrib.layers.Dense(3, activation="softmax"),
        ],
        seed=seed,
        dtype=dtype,
    )
    rate = 0.01 if odd and what == "optimizer" else 0.001
    model.compile(distrib.optimizers.Adam(rate), "sparse_categorical_crossentropy")
if odd and what == "data":
    x = x + 1
if odd and what == "length":
    x, y = x[:-1], y[:-1]
if what == "collective":
    strategy.reduce("SUM", 1.0) if odd else strategy.reduce("MAX", 1.0)
else:
    model.fit(x, y, epochs=5, batch_size=7 if odd and what == "batch_size" else 8, verbose=0)
print("ENDED WELL", flush=True)
