"""The current strategy: a stack of scopes for each thread, so that replicas may be threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from distrib.base.errors import ConfigError

Strategy = TypeVar("Strategy")
"""`distrib.strategies.strategy.Strategy`, which stands on this module."""

_current: ContextVar[tuple[Any, ...]] = ContextVar("distrib_strategies", default=())


def current() -> Any | None:
    """The strategy whose scope was entered last and not left; None outside of all."""
    stack = _current.get()
    return stack[-1] if stack else None


@contextmanager
def entered(strategy: Strategy) -> Iterator[Strategy]:
    """Make `strategy` current. Entering it again is fine.

    Raises:
        ConfigError: the scope of another strategy is open.
    """
    stack = _current.get()
    if stack and stack[-1] is not strategy:
        raise ConfigError(
            f"Mixing different strategies: scope() of {type(strategy).__name__} was entered inside that of "
            f"{type(stack[-1]).__name__}. Leave the first scope, or use one strategy object for both."
        )
    token = _current.set((*stack, strategy))
    try:
        yield strategy
    finally:
        _current.reset(token)


def leave_all() -> None:
    """Forget every open scope of this thread."""
    _current.set(())
