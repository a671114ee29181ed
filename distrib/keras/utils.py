"""`distrib.keras.utils`: see `distrib.utils`."""

from distrib.utils import *  # noqa: F403
from distrib.utils import __all__ as __all__
from distrib.utils import __getattr__ as __getattr__
