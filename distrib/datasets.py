"""`distrib.datasets`: data sets to begin with."""

from distrib.data.builtin import digits, fashion_mnist
from distrib.data.keras_datasets import boston_housing, california_housing, mnist
from distrib.data.keras_pickled_datasets import cifar10, cifar100, imdb, reuters

__all__ = [
    "boston_housing",
    "california_housing",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "imdb",
    "mnist",
    "reuters",
]


def __dir__() -> list[str]:
    return __all__
