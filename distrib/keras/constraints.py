"""`distrib.keras.constraints`: see `distrib.constraints`."""

from distrib.nn.constraints import *  # noqa: F403
from distrib.nn.constraints import __all__ as __all__
