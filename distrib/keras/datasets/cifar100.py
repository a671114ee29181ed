"""`distrib.keras.datasets.cifar100`: see `load_data`."""

from distrib.data.keras_pickled_datasets import cifar100 as load_data

__all__ = ["load_data"]
