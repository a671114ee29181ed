"""The loop of `tape.py` around parameter servers, here with two workers on this machine.

    python examples/low_level/parameter_servers.py
    python examples/low_level/parameter_servers.py async

In "sync" an update adds the gradients of all workers, so each divides by the batch of all. In "async" each gradient
is an update by itself, so each worker divides by its own batch.
"""

import sys

import distrib
import distrib.tf as tf
import numpy as np
from tape import BATCH, load


def main(mode="sync"):
    with distrib.local_cluster(num_workers=2, num_ps=1):
        train(distrib.ParameterServerStrategy(mode=mode), BATCH if mode == "sync" else BATCH // 2)


def train(strategy, divisor):
    (images, labels), (test_images, test_labels) = load()
    with strategy.scope():
        W = tf.Variable(tf.zeros([784, 10]))
        b = tf.Variable(tf.zeros([10]))
        optimizer = tf.keras.optimizers.SGD(0.1)

    def step(x, y):
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, x @ W + b)
            loss = tf.nn.compute_average_loss(losses, global_batch_size=divisor)
        optimizer.apply_gradients(zip(tape.gradient(loss, [W, b]), [W, b], strict=True))

    order, own = np.random.default_rng(0), slice(strategy.replica_id, None, strategy.num_replicas_in_sync)
    for _ in range(1000):
        rows = order.choice(len(images), BATCH, replace=False)[own]
        strategy.run(step, args=(images[rows], labels[rows]))
    if strategy.is_chief:
        guesses = tf.argmax(test_images @ W + b, axis=1)
        print(f"accuracy {np.mean(guesses == test_labels):.3f} after {int(optimizer.iterations)} updates")


if __name__ == "__main__":
    main(*sys.argv[1:])
