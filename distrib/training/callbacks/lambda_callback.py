"""LambdaCallback: a callback made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrib.base.arguments import unknown
from distrib.base.errors import ConfigError
from distrib.training.callbacks.callback import Callback


class LambdaCallback(Callback):
    """Calls functions in place of hooks, with the arguments of the hook of that name.

    Args:
        hooks: `on_epoch_end=lambda epoch, logs: ...`, and so on, for any hook of `Callback`; None for none.

    Raises:
        ConfigError: there is no such hook.
    """

    def __init__(self, **hooks: Callable[..., Any] | None) -> None:
        super().__init__()
        known = sorted(name for name in dir(Callback) if name.startswith("on_"))
        for name, function in hooks.items():
            if name not in known:
                raise ConfigError(unknown("LambdaCallback", name, function, known))
            if function is not None:
                setattr(self, name, function)
