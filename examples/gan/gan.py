"""Two models that are trained against each other: the points of a generator come to lie on a circle.

python examples/gan/gan.py
mpirun -n 2 python examples/gan/gan.py
"""

import distrib
import distrib.tf as tf
import numpy as np
from distrib import keras
from distrib.keras import layers


class Gan(keras.Model):
    """A step of its own, with an optimizer for each model."""

    def __init__(self, size=8):
        super().__init__()
        self.size = size
        self.generator = keras.Sequential([layers.Input((size,)), layers.Dense(32, "relu"), layers.Dense(2)])
        self.discriminator = keras.Sequential([layers.Input((2,)), layers.Dense(32, "relu"), layers.Dense(1)])
        self.d_loss, self.g_loss = keras.metrics.Mean("d_loss"), keras.metrics.Mean("g_loss")

    def compile(self, d_optimizer, g_optimizer, loss):
        super().compile()
        self.d_optimizer, self.g_optimizer, self.cross_entropy = d_optimizer, g_optimizer, loss

    def train_step(self, real):
        noise = tf.random.normal((len(real), self.size))
        with tf.GradientTape() as d_tape, tf.GradientTape() as g_tape:
            fake = self.generator(noise, training=True)
            of_real, of_fake = self.discriminator(real), self.discriminator(fake)
            d_loss = self.cross_entropy(tf.ones_like(of_real), of_real) + self.cross_entropy(
                tf.zeros_like(of_fake), of_fake
            )
            g_loss = self.cross_entropy(tf.ones_like(of_fake), of_fake)
        of_d, of_g = self.discriminator.trainable_variables, self.generator.trainable_variables
        d_gradients, g_gradients = d_tape.gradient(d_loss, of_d), g_tape.gradient(g_loss, of_g)
        self.d_optimizer.apply_gradients(zip(d_gradients, of_d, strict=True))
        self.g_optimizer.apply_gradients(zip(g_gradients, of_g, strict=True))
        self.d_loss.update_state(d_loss)
        self.g_loss.update_state(g_loss)
        return {"d_loss": self.d_loss.result(), "g_loss": self.g_loss.result()}


def main():
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 2000)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    strategy = distrib.MirroredStrategy()
    with strategy.scope():
        model = Gan()
        model.compile(
            keras.optimizers.Adam(1e-3, beta_1=0.5),
            keras.optimizers.Adam(1e-3, beta_1=0.5),
            keras.losses.BinaryCrossentropy(from_logits=True),
        )
    model.fit(points, batch_size=100, epochs=60, verbose=0)
    made = model.generator(np.random.default_rng(1).normal(size=(500, model.size)))
    radius = np.linalg.norm(made, axis=1)
    if strategy.is_chief:
        print(f"radius {radius.mean():.2f} +- {radius.std():.2f}")


if __name__ == "__main__":
    main()
