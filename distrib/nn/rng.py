"""Random numbers that do not depend on who draws them.

Every random array is a function of a seed and of what it is for. One counter-based generator (Philox 4x64-10;
Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11) is keyed by the seed and a stream name, and
its counter is set to the example's position in the epoch. So a replica that computes positions 40 to 59 draws
for them what a single process would have drawn, whatever the number of replicas.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from distrib.base.arrays import Array

_FLOATS_PER_COUNT = 8  # one Philox block is four uint64, eight float32 draws


@dataclass(frozen=True, slots=True)
class RngKey:
    """Which random numbers a forward pass draws.

    Attributes:
        seed: the model's seed.
        epoch: pass over the data, or the step number where there is none.
        position: position in the epoch of the first example of the batch.
    """

    seed: int
    epoch: int
    position: int


def stream_key(*parts: object) -> int:
    """A 128-bit Philox key for the stream these parts name. Equal on every machine and Python."""
    text = "\x1f".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "little")


def generator(*parts: object) -> np.random.Generator:
    """A generator for the stream these parts name."""
    return np.random.Generator(np.random.Philox(key=stream_key(*parts)))


def uniform_columns(features: int) -> int:
    """How many float32 draws each example takes so that its draws begin on a block of their own."""
    return -(-features // _FLOATS_PER_COUNT) * _FLOATS_PER_COUNT


def fill_uniform(out: Array, draw: RngKey, stream: str) -> None:
    """Fill `out` with numbers uniform in [0, 1), row i for the example at `draw.position + i`.

    Args:
        out: `(rows, uniform_columns(features))` float32, C-contiguous.
        draw: seed, epoch and position of row 0.
        stream: name of the stream, such as the layer's name.
    """
    philox = np.random.Philox(key=stream_key(draw.seed, stream, draw.epoch))
    philox.advance(draw.position * (out.shape[1] // _FLOATS_PER_COUNT))
    np.random.Generator(philox).random(out=out, dtype=np.float32)
