"""`distrib.keras.regularizers`: see `distrib.regularizers`."""

from distrib.nn.regularizers import *  # noqa: F403
from distrib.nn.regularizers import __all__ as __all__
