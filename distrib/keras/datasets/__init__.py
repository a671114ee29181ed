"""`distrib.keras.datasets`: data sets, each a module with `load_data`."""

from distrib.base.missing import refuser
from distrib.keras.datasets import boston_housing, california_housing, fashion_mnist, mnist

__all__ = ["boston_housing", "california_housing", "fashion_mnist", "mnist"]

_PICKLED = (
    "Keras' file of it is pickled, and distrib unpickles nothing. Save it once as .npy files for np.load."
)

__getattr__ = refuser(__name__, dict.fromkeys(["cifar10", "cifar100", "imdb", "reuters"], _PICKLED), __all__)
