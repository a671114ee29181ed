"""`distrib.keras.datasets.reuters`: see `load_data`."""

from distrib.data.keras_pickled_datasets import reuters as load_data
from distrib.data.keras_pickled_datasets import reuters_word_index as get_word_index

__all__ = ["get_word_index", "load_data"]
