"""A layer of one's own: a dense layer whose outputs are gated, as in Dauphin et al., 2017.

    python examples/own_layer/gated.py
    mpirun -n 2 python examples/own_layer/gated.py

`test_gated.py` has its tests.
"""

import distrib
import distrib.tf as tf
from distrib import keras
from distrib.keras import layers


@keras.saving.register_keras_serializable("example")
class GatedDense(layers.Layer):
    """`(x @ kernel) * sigmoid(x @ gate)`."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.gate = self.add_weight(shape=(input_shape[-1], self.units), name="gate")

    def call(self, inputs):
        return tf.matmul(inputs, self.kernel) * tf.sigmoid(tf.matmul(inputs, self.gate))

    def get_config(self):
        return super().get_config() | {"units": self.units}


def make_model(inputs=64, classes=10):
    model = keras.Sequential(
        [layers.Input((inputs,)), GatedDense(32), layers.Dropout(0.1), layers.Dense(classes)]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def main():
    (x, y), (x_test, y_test) = distrib.datasets.digits()
    x, x_test = x.reshape(-1, 64) / 16, x_test.reshape(-1, 64) / 16
    strategy = distrib.MirroredStrategy()
    with strategy.scope():
        model = make_model()
    model.fit(x, y, batch_size=64, epochs=10, verbose=0)
    accuracy = model.evaluate(x_test, y_test, verbose=0)[1]
    if strategy.is_chief:
        print(f"accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
