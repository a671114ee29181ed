"""`distrib.keras.initializers`: see `distrib.initializers`."""

from distrib.nn.initializers import *  # noqa: F403
from distrib.nn.initializers import __all__ as __all__
