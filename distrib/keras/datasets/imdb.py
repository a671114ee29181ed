"""`distrib.keras.datasets.imdb`: see `load_data`."""

from distrib.data.keras_pickled_datasets import imdb as load_data
from distrib.data.keras_pickled_datasets import imdb_word_index as get_word_index

__all__ = ["get_word_index", "load_data"]
