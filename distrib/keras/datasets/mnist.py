"""`distrib.keras.datasets.mnist`: see `load_data`."""

from distrib.data.keras_datasets import mnist as load_data

__all__ = ["load_data"]
