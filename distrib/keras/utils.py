"""`distrib.keras.utils`: see `distrib.utils`."""

from types import SimpleNamespace

from distrib.data.streams.distributed import DatasetCreator
from distrib.utils import *  # noqa: F403
from distrib.utils import __all__ as __all__
from distrib.utils import __getattr__ as __getattr__

experimental = SimpleNamespace(DatasetCreator=DatasetCreator)
"""`keras.utils.experimental`, as earlier versions of Keras have it."""
