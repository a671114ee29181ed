"""`distrib.tf.distribute.cluster_resolver`: see `distrib.cluster_resolver`."""

from distrib.cluster_resolver import *  # noqa: F403
from distrib.cluster_resolver import __all__ as __all__
