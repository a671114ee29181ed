"""Training from a DataLoader of PyTorch, which each replica asks for its own examples alone.

python examples/data/loader.py
mpirun -n 2 python examples/data/loader.py
"""

import distrib
import numpy as np
from torch.utils.data import DataLoader, Dataset


class Digits(Dataset):
    """Images as vectors, and their labels."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index].astype(np.float32).reshape(-1) / 16, self.labels[index]


def main():
    train, test = (Digits(*each) for each in distrib.datasets.digits())
    strategy = distrib.MirroredStrategy()
    with strategy.scope():
        model = distrib.Sequential(
            [
                distrib.layers.Dense(64, activation="relu", input_shape=(64,)),
                distrib.layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(DataLoader(train, batch_size=50, shuffle=True, num_workers=2), epochs=10, verbose=0)
    accuracy = model.evaluate(DataLoader(test, batch_size=100), verbose=0)[1]
    if strategy.is_chief:
        print(f"accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
