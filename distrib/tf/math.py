"""`distrib.tf.math`: operations on elements, and reductions."""

from distrib.tf import elementwise, ordering, reductions
from distrib.tf.elementwise import *  # noqa: F403
from distrib.tf.ordering import *  # noqa: F403
from distrib.tf.reductions import *  # noqa: F403

__all__ = [*elementwise.__all__, *ordering.__all__, *reductions.__all__]
