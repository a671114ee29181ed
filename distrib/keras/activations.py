"""`distrib.keras.activations`: see `distrib.activations`."""

from distrib.nn.activations import *  # noqa: F403
from distrib.nn.activations import __all__ as __all__
