"""`distrib.keras.datasets.fashion_mnist`: see `load_data`."""

from __future__ import annotations

from distrib.base.arrays import Array
from distrib.data.builtin import fashion_mnist

__all__ = ["load_data"]


def load_data() -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """See `distrib.datasets.fashion_mnist`."""
    return fashion_mnist()
