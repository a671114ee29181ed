"""How values of several replicas become one."""

from __future__ import annotations

from enum import Enum

from distrib.base.errors import ConfigError


class ReduceOp(Enum):
    """How values of several replicas become one."""

    SUM = "sum"
    MEAN = "mean"
    MAX = "max"
    MIN = "min"


def as_reduce_op(op: ReduceOp | str) -> ReduceOp:
    """The operation of that name. Raises `ConfigError` for unknown names."""
    if isinstance(op, ReduceOp):
        return op
    try:
        return ReduceOp[str(op).upper()]
    except KeyError:
        known = ", ".join(member.name for member in ReduceOp)
        raise ConfigError(f"Expected a reduce operation: {known}. Received: {op!r}.") from None
