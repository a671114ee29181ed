"""`distrib.tf.train`: see `distrib.train`."""

from distrib.train import *  # noqa: F403
from distrib.train import __all__ as __all__
