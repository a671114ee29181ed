"""Training from a folder of images, with a folder for each class. Needs `pip install 'distrib[images]'`.

    python examples/data/folder.py
    mpirun -n 2 python examples/data/folder.py
    python examples/data/folder.py FOLDER

Without a folder it writes handwritten digits as files first.
"""

import sys
import tempfile
from pathlib import Path

import distrib
from distrib import keras


def write_digits(folder):
    (images, labels), _ = distrib.datasets.digits()
    for number, (image, label) in enumerate(zip(images[:1000], labels, strict=False)):
        path = Path(folder, str(label), f"{number}.png")
        path.parent.mkdir(exist_ok=True)
        keras.utils.save_img(path, image[..., None] * 15.0, scale=False)


def train(folder, strategy):
    options = {
        "validation_split": 0.2,
        "seed": 1,
        "color_mode": "grayscale",
        "image_size": (8, 8),
        "batch_size": 50,
    }
    training, validation = keras.utils.image_dataset_from_directory(
        folder, subset="both", verbose=strategy.is_chief, **options
    )
    with strategy.scope():
        model = keras.Sequential(
            [
                keras.layers.Input((8, 8, 1)),
                keras.layers.Rescaling(1 / 255),
                keras.layers.Flatten(),
                keras.layers.Dense(64, activation="relu"),
                keras.layers.Dense(len(training.class_names), activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(training.cache(), validation_data=validation.cache(), epochs=30, verbose=0).history
    if strategy.is_chief:
        print(f"accuracy {history['val_accuracy'][-1]:.3f}")


def main():
    strategy = distrib.MirroredStrategy()
    if len(sys.argv) > 1:
        train(sys.argv[1], strategy)
        return
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # each replica writes the same files, to a folder of its own
        write_digits(folder)
        train(folder, strategy)


if __name__ == "__main__":
    main()
