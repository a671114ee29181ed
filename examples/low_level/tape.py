"""Softmax regression with variables, a tape and an optimizer: a loop of one's own over any number of replicas.

    python examples/low_level/tape.py
    mpirun -n 2 python examples/low_level/tape.py

The same in the oldest form of TensorFlow is in `session.py`.
"""

import distrib
import distrib.tf as tf
import numpy as np

BATCH = 100


def load():
    """Handwritten digits as images of 784 pixels."""

    def large(images):
        images = np.pad(images.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
        return images.reshape(len(images), 784).astype(np.float32) / 16

    (images, labels), (test_images, test_labels) = distrib.datasets.digits()
    return (large(images), labels), (large(test_images), test_labels)


def main():
    (images, labels), (test_images, test_labels) = load()
    strategy = distrib.MirroredStrategy()
    with strategy.scope():
        W = tf.Variable(tf.zeros([784, 10]))
        b = tf.Variable(tf.zeros([10]))
        optimizer = tf.keras.optimizers.SGD(0.1)

    def step(x, y):
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, x @ W + b)
            loss = tf.nn.compute_average_loss(losses, global_batch_size=BATCH)
        optimizer.apply_gradients(zip(tape.gradient(loss, [W, b]), [W, b], strict=True))
        return loss

    order, own = np.random.default_rng(0), slice(strategy.replica_id, None, strategy.num_replicas_in_sync)
    for number in range(1000):
        rows = order.choice(len(images), BATCH, replace=False)[own]
        loss = strategy.reduce("SUM", strategy.run(step, args=(images[rows], labels[rows])))
        if number % 250 == 0 and strategy.is_chief:
            print(f"step {number} loss {loss:.4f}")
    if strategy.is_chief:
        guesses = tf.argmax(test_images @ W + b, axis=1)
        print(f"accuracy {np.mean(guesses == test_labels):.3f}")


if __name__ == "__main__":
    main()
