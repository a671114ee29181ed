"""`distrib.keras.losses`: see `distrib.losses`."""

from distrib.nn.losses import *  # noqa: F403
from distrib.nn.losses import __all__ as __all__
