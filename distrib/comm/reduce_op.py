"""How values of several replicas become one."""

from enum import Enum


class ReduceOp(Enum):
    """How values of several replicas become one."""

    SUM = "sum"
    MEAN = "mean"
    MAX = "max"
    MIN = "min"
