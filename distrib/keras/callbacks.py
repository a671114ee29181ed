"""`distrib.keras.callbacks`: see `distrib.callbacks`."""

from distrib.callbacks import *  # noqa: F403
from distrib.callbacks import __all__ as __all__
