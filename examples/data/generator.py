"""Training on what a generator yields, as from files that do not fit into memory: a pipeline over it.

python examples/data/generator.py
mpirun -n 2 python examples/data/generator.py
"""

import distrib
import numpy as np
from distrib.data import Dataset


def examples():
    """Images and labels, one after the other, as they might come from files."""
    (images, labels), _ = distrib.datasets.digits()
    yield from zip(images, labels, strict=True)


def prepared(image, label):
    """Called for the examples of this replica alone."""
    return image.astype(np.float32).reshape(-1) / 16, label


def main():
    train = Dataset.from_generator(examples).shuffle(2000).map(prepared).batch(50).prefetch(2)
    strategy = distrib.MirroredStrategy()
    with strategy.scope():
        model = distrib.Sequential(
            [
                distrib.layers.Dense(64, activation="relu", input_shape=(64,)),
                distrib.layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(train, epochs=10, verbose=0)
    _, (images, labels) = distrib.datasets.digits()
    test = Dataset.from_tensor_slices((images, labels)).map(prepared).batch(100)
    accuracy = model.evaluate(test, verbose=0)[1]
    if strategy.is_chief:
        print(f"waited for data {history.counters['waited_for_data_s']:.2f} s")
        print(f"accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
