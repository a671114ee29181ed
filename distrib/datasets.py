"""`distrib.datasets`: data sets to begin with."""

from distrib.data.builtin import digits, fashion_mnist
from distrib.data.keras_datasets import boston_housing, california_housing, mnist

__all__ = ["boston_housing", "california_housing", "digits", "fashion_mnist", "mnist"]


def __dir__() -> list[str]:
    return __all__
