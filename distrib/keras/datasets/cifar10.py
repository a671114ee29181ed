"""`distrib.keras.datasets.cifar10`: see `load_data`."""

from distrib.data.keras_pickled_datasets import cifar10 as load_data

__all__ = ["load_data"]
