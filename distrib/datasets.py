"""`distrib.datasets`: data sets to begin with."""

from distrib.data.builtin import digits, fashion_mnist

__all__ = ["digits", "fashion_mnist"]


def __dir__() -> list[str]:
    return __all__
