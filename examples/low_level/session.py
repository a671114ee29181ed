"""Softmax regression in the oldest form of TensorFlow: a graph of placeholders, which a session runs.

    python examples/low_level/session.py
    mpirun -n 2 python examples/low_level/session.py

The same in today's form is in `tape.py`.
"""

import distrib
import distrib.tf.compat.v1 as tf
import numpy as np


class Images:
    """Images and one-hot labels, in batches."""

    def __init__(self, images, labels):
        large = np.pad(
            images.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2))
        )  # as those of MNIST
        self.images = large.reshape(len(images), 784).astype(np.float32) / 16
        self.labels = np.eye(10, dtype=np.float32)[labels]
        self._order, self._next = np.random.default_rng(0).permutation(len(images)), 0

    def next_batch(self, size):
        if self._next + size > len(self._order):
            self._next = 0
        rows = self._order[self._next : self._next + size]
        self._next += size
        return self.images[rows], self.labels[rows]


def main():
    (images, labels), (test_images, test_labels) = distrib.datasets.digits()
    train, test = Images(images, labels), Images(test_images, test_labels)
    x = tf.placeholder(tf.float32, (None, 784))
    y = tf.placeholder(tf.float32, (None, 10))
    W = tf.Variable(tf.zeros([784, 10]))
    b = tf.Variable(tf.zeros([10]))
    logits = tf.matmul(x, W) + b
    loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=logits))
    step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    correct = tf.equal(tf.argmax(logits, 1), tf.argmax(y, 1))
    accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))
    strategy = distrib.MirroredStrategy()
    with strategy.scope(), tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        for _ in range(1000):
            batch_x, batch_y = train.next_batch(100)
            sess.run(step, feed_dict={x: batch_x, y: batch_y})
        found = sess.run(accuracy, feed_dict={x: test.images, y: test.labels})
    if strategy.is_chief:
        print(f"accuracy {found:.3f}")


if __name__ == "__main__":
    main()
