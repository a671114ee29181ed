"""Flow: batches of changed images, for `fit` and for loops of one's own.

What is drawn for an image follows from the seed, the epoch and its number alone. So every replica knows the order of
all images, and reads and changes those of its own part of a batch only.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, DataError
from distrib.data.pipeline.iteration import Iteration
from distrib.data.py_dataset import PyDataset
from distrib.data.streams.source import BatchSource, GlobalBatch

_ORDER, _IMAGE = 1, 2
"""What draws are for."""


class Preparing(Protocol):
    """What flows know of `ImageDataGenerator`."""

    dtype: Any
    data_format: str
    validation_split: float

    def get_random_transform(self, img_shape: Any, seed: int | None = None) -> dict[str, Any]:
        """What is drawn for an image."""

    def apply_transform(self, x: Any, transform_parameters: Mapping[str, Any]) -> Array:
        """An image changed as the parameters say."""

    def standardize(self, x: Any) -> Array:
        """An image on the common scale."""


class _Batch(GlobalBatch):
    """Images of a flow, of which the own ones alone are made."""

    def __init__(self, flow: Flow, indices: Array, epoch: int, seed: int) -> None:
        self._flow, self._indices, self._epoch, self._seed = flow, indices, epoch, seed
        self.size = len(indices)

    def part(self, rows: slice) -> Any:
        return self._flow.made(self._indices[rows], self._epoch, self._seed)


class Flow(PyDataset, BatchSource):
    """Batches of changed images: by their numbers, by `next` without end, and in `fit`.

    Args:
        generator: changes the images.
        n: number of images.
        batch_size: images of a batch.
        shuffle: whether every epoch has the images in another order.
        seed: of what is drawn; None for that of `fit`, or the global one in loops of one's own.

    Attributes:
        n: as given.
        batch_size: as given.
        shuffle: as given.
        seed: as given.
        image_shape: of an image.
    """

    image_shape: tuple[int, ...]

    def __init__(
        self, generator: Preparing, n: int, batch_size: int, shuffle: bool, seed: int | None
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ConfigError(f"Expected batch_size >= 1. Received: batch_size={batch_size}.")
        if seed is not None and seed < 0:
            raise ConfigError(f"Expected a seed >= 0. Received: seed={seed}.")
        if not n:
            raise DataError("There are no images: pass others, or another validation_split.")
        self._generator = generator
        self.n, self.batch_size, self.shuffle, self.seed = n, batch_size, shuffle, seed
        self._epoch, self._next_index = 0, 0

    @property
    def num_batches(self) -> int:
        """How many batches an epoch has."""
        return -(-self.n // self.batch_size)

    def __len__(self) -> int:
        return self.num_batches

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"The flow has {len(self)} batches. Received: {index}.")
        seed, at = Iteration.default_seed(), index % len(self) * self.batch_size
        order = self._order(self._epoch, seed)
        return self.made(order[at : at + self.batch_size], self._epoch, seed)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        """The next batch; behind the last one of an epoch the first one of the next."""
        batch = self[self._next_index]
        self._next_index += 1
        if self._next_index == len(self):
            self.on_epoch_end()
        return batch

    next = __next__

    def reset(self) -> None:
        """Let `next` begin at the first batch."""
        self._next_index = 0

    def on_epoch_end(self) -> None:
        """What follows belongs to the next epoch: other draws, and another order if it is shuffled."""
        self._epoch, self._next_index = self._epoch + 1, 0

    def batches(self, pass_index: int, seed: int) -> Generator[GlobalBatch]:
        """See `BatchSource`."""
        order = self._order(pass_index, seed)
        for at in range(0, self.n, self.batch_size):
            yield _Batch(self, order[at : at + self.batch_size], pass_index, seed)

    def made(self, indices: Array, epoch: int, seed: int) -> Any:
        """A batch: images, or `(images, targets)`, or these and weights.

        Args:
            indices: numbers of the images.
            epoch: from 0.
            seed: if the flow has none.
        """
        generator, own = self._generator, seed if self.seed is None else self.seed
        images = np.zeros((len(indices), *self.image_shape), generator.dtype)
        for row, index in enumerate(indices.tolist()):
            draw = int(_words(own, epoch, _IMAGE, index).generate_state(1)[0])
            image = self._image(index)
            image = generator.apply_transform(image, generator.get_random_transform(image.shape, draw))
            images[row] = generator.standardize(image)
        return self._batch(images, indices)

    @abstractmethod
    def _image(self, index: int) -> Array:
        """An image as it is, of the dtype of the generator."""

    @abstractmethod
    def _batch(self, images: Array, indices: Array) -> Any:
        """The images and what belongs to them."""

    def _order(self, epoch: int, seed: int) -> Array:
        if not self.shuffle:
            return np.arange(self.n)
        words = _words(seed if self.seed is None else self.seed, epoch, _ORDER)
        return np.random.Generator(np.random.Philox(words)).permutation(self.n)


def _words(*numbers: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(numbers)
