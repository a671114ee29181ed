"""Reduction: the names of reductions, as earlier versions of Keras have them."""

from __future__ import annotations

from distrib.base.arguments import HasArguments


class Reduction(HasArguments):
    """What a loss makes of its values for the examples.

    Attributes:
        AUTO: as `SUM_OVER_BATCH_SIZE`.
        NONE: the values themselves.
        SUM: their sum.
        SUM_OVER_BATCH_SIZE: their mean.
    """

    AUTO = SUM_OVER_BATCH_SIZE = "sum_over_batch_size"
    NONE = "none"
    SUM = "sum"
