"""`distrib.keras.models`: see `distrib.models`."""

from distrib.models import *  # noqa: F403
from distrib.models import __all__ as __all__
