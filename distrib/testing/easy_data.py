"""Data that any sound model learns."""

from __future__ import annotations

import numpy as np

from distrib.base.arguments import checked
from distrib.base.arrays import Array


@checked
def easy_classification(
    num_examples: int = 48, num_classes: int = 3, num_features: int = 6, seed: int = 0
) -> tuple[Array, Array]:
    """Points around one centre for each class, far apart.

    Args:
        num_examples: how many.
        num_classes: how many classes.
        num_features: of each example.
        seed: of the centres and points.

    Returns:
        `(num_examples, num_features)` float32, and labels `(num_examples,)`, of all classes in turns.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(num_classes, num_features))
    centres *= 2.0 / np.linalg.norm(centres, axis=1, keepdims=True)
    labels = np.arange(num_examples) % num_classes
    points = centres[labels] + 0.1 * rng.normal(size=(num_examples, num_features))
    return points.astype(np.float32), labels


@checked
def easy_regression(
    num_examples: int = 48, num_features: int = 6, num_targets: int = 1, seed: int = 0
) -> tuple[Array, Array]:
    """Targets that are linear in the features.

    Args:
        num_examples: how many.
        num_features: of each example.
        num_targets: of each example.
        seed: of features and coefficients.

    Returns:
        `(num_examples, num_features)` and `(num_examples, num_targets)`, float32.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_examples, num_features))
    y = x @ rng.normal(size=(num_features, num_targets)) / np.sqrt(num_features)
    return x.astype(np.float32), y.astype(np.float32)


@checked
def easy_images(
    num_examples: int = 48, num_classes: int = 4, size: int = 8, channels: int = 1, seed: int = 0
) -> tuple[Array, Array]:
    """Images in which the place of a bright square says the class.

    Args:
        num_examples: how many.
        num_classes: how many classes, 4 at most.
        size: of an image, in pixels.
        channels: of an image.
        seed: of the noise.

    Returns:
        `(num_examples, size, size, channels)` float32 in [0, 1], and labels `(num_examples,)`.
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(num_examples) % min(num_classes, 4)
    images = 0.2 * rng.random((num_examples, size, size, channels))
    half = size // 2
    for image, label in zip(images, labels, strict=True):
        rows, columns = divmod(int(label), 2)
        image[rows * half : (rows + 1) * half, columns * half : (columns + 1) * half] += 0.7
    return images.astype(np.float32), labels
