"""`distrib.keras.optimizers`: see `distrib.optimizers`."""

from distrib.nn.optimizers import *  # noqa: F403
from distrib.nn.optimizers import __all__ as __all__
