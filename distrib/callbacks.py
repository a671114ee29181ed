"""`distrib.callbacks`: the callbacks, as Keras has them."""

from distrib.training.callbacks import Callback, History, ProgressBar

__all__ = ["Callback", "History", "ProgressBar"]
