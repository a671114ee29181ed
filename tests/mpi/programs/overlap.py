"""Training with buckets, and with float16 on the wire, beside training at once: same losses, fewer bytes."""

import numpy as np

import distrib

rng = np.random.default_rng(0)
x, y = rng.normal(size=(160, 64)), rng.integers(0, 3, 160)
communicator = distrib.MirroredStrategy().communicator


def train(**options):
    strategy = distrib.MirroredStrategy(distrib.CommunicationOptions(**options), communicator)
    before = communicator.counters.payload_bytes
    with strategy.scope():
        model = distrib.Sequential(
            [
                distrib.layers.Dense(256, activation="tanh", input_shape=(64,)),
                distrib.layers.Dense(256, activation="tanh"),
                distrib.layers.Dense(3, activation="softmax"),
            ],
            dtype="float64",
            seed=3,
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
    history = model.fit(x, y, batch_size=40, epochs=5, verbose=0)
    sent = communicator.counters.payload_bytes - before
    return history.history["loss"], sent, [w.tobytes() for w in model.get_weights()]


losses, sent, weights = train(bucket_bytes=0)
bucketed, sent_in_buckets, _ = train(bucket_bytes=100_000)
np.testing.assert_allclose(bucketed, losses, rtol=1e-9)
assert abs(sent_in_buckets / sent - 1) < 0.01
default, *_ = train()  # buckets by default, since there are several hosts
np.testing.assert_allclose(default, losses, rtol=1e-9)
halved, sent_halved, _ = train(compression="float16")
np.testing.assert_allclose(halved, losses, rtol=1e-3)
assert halved != losses
assert sent_halved < 0.66 * sent, (sent_halved, sent)
print("ENDED WELL", communicator.spans_hosts, flush=True)
