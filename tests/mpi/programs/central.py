"""CentralStorageStrategy: the replicas read one copy of the values."""

import numpy as np

import distrib

strategy = distrib.CentralStorageStrategy()
rng = np.random.default_rng(0)
x, y = rng.normal(size=(40, 8)), rng.integers(0, 3, 40)
with strategy.scope():
    model = distrib.Sequential([distrib.layers.Dense(3, activation="softmax", input_shape=(8,))])
    model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x, y, batch_size=7, epochs=3, verbose=0)
before = strategy.gather(model.get_weights()[0][None])
assert all(np.array_equal(each, before[0]) for each in before)
strategy.barrier()
if strategy.replica_id == strategy.num_replicas_in_sync - 1:
    model.variables[0].assign(np.full((8, 3), 5.0))
strategy.barrier()
assert (model.get_weights()[0] == 5).all()
model.evaluate(x, y, verbose=0)
print("ENDED WELL", flush=True)
