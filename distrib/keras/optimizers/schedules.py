"""`distrib.keras.optimizers.schedules`: see `distrib.optimizers.schedules`."""

from distrib.nn.schedules import *  # noqa: F403
from distrib.nn.schedules import __all__ as __all__
