"""`distrib.keras.metrics`: see `distrib.metrics`."""

from distrib.nn.metrics import *  # noqa: F403
from distrib.nn.metrics import __all__ as __all__
