"""`distrib.keras.datasets.california_housing`: see `load_data`."""

from distrib.data.keras_datasets import california_housing as load_data

__all__ = ["load_data"]
