"""Classes and functions of one's own, by the names under which they are saved.

    @keras.saving.register_keras_serializable("my_package")
    class Scale(keras.layers.Layer): ...

A registered class is written as `my_package>Scale`. Whoever loads the model has registered it, or passes it as
`custom_objects={"Scale": Scale}`. Files never hold code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeVar

from distrib.base.errors import ConfigError

T = TypeVar("T", bound=Callable[..., Any])

_registered: dict[str, Any] = {}
_scope: ContextVar[Mapping[str, Any]] = ContextVar("custom_objects", default=MappingProxyType({}))


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """Register the class or function that this decorates, as in Keras.

    Args:
        package: of the registered name, `package>name`.
        name: by default that of the class or function.

    Raises:
        ConfigError: a class without `get_config`.
    """

    def register(registered: T) -> T:
        if isinstance(registered, type) and not hasattr(registered, "get_config"):
            raise ConfigError(
                f"register_keras_serializable expects a class with get_config. Received: {registered.__name__}."
            )
        _registered[f"{package}>{name or registered.__name__}"] = registered
        return registered

    return register


def get_registered_name(obj: Any) -> str:
    """The name under which a class or function is registered; its own name if it is not."""
    found = next((name for name, each in _registered.items() if each is obj), None)
    return found or str(obj.__name__)


def get_registered_object(
    name: str,
    custom_objects: Mapping[str, Any] | None = None,
    module_objects: Mapping[str, Any] | None = None,
) -> Any:
    """What is registered under a name, or known by it in the open scope; None for nothing.

    Args:
        name: such as `"my_package>Scale"`, or `"Scale"` within a scope.
        custom_objects: are looked through, too.
        module_objects: likewise, last.
    """
    for objects in (_scope.get(), custom_objects or {}, _registered, module_objects or {}):
        if name in objects:
            return objects[name]
    return None


def get_custom_objects() -> dict[str, Any]:
    """All registered classes and functions by name. May be changed."""
    return _registered


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, Any]) -> Iterator[None]:
    """Know these classes and functions by name within a `with` block.

    Args:
        custom_objects: by name.
    """
    token = _scope.set({**_scope.get(), **custom_objects})
    try:
        yield
    finally:
        _scope.reset(token)


CustomObjectScope = custom_object_scope
