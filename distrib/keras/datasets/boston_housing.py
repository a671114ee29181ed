"""`distrib.keras.datasets.boston_housing`: see `load_data`."""

from distrib.data.keras_datasets import boston_housing as load_data

__all__ = ["load_data"]
