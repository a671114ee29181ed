"""Names -> classes, as in `activation="relu"`; an unknown name is an error that offers the nearest one."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast

from distrib.base.errors import ConfigError
from distrib.nn.custom_objects import get_registered_name, get_registered_object

T = TypeVar("T")


class Registry(Generic[T]):
    """The built-in classes of one kind by name.

    Args:
        kind: what they are, for the error message.
        base: class every one of them derives from.
        classes: name (lower case, underscores) -> class. The class's own name is understood too.

    Attributes:
        classes: by the names that the classes have themselves.
    """

    def __init__(self, kind: str, base: type, classes: Mapping[str, type[T]]) -> None:
        self._kind, self._base, self._classes = kind, base, dict(classes)
        self.classes = {cls.__name__: cls for cls in classes.values()}

    @property
    def named(self) -> Mapping[str, type[T]]:
        """The classes by the names that `get` knows."""
        return MappingProxyType(self._classes)

    def from_config(self, config: Mapping[str, Any]) -> T:
        """The built-in object that a config with its `"class"` and arguments describes.

        A field that the class sets itself, and takes no argument for, must have the value that the class gives it.

        Raises:
            ConfigError: not a built-in class, or arguments it does not have.
        """
        arguments = {key: value for key, value in config.items() if key != "class"}
        return made_with(self.class_of(config), arguments)

    def class_of(self, config: Mapping[str, Any]) -> type[T]:
        """The class that a config names, built in or registered. Raises `ConfigError` for any other."""
        name = str(config.get("class"))
        cls: Any = self.classes.get(name) or get_registered_object(name)
        if not isinstance(cls, type) or not issubclass(cls, self._base):
            raise ConfigError(
                f"Expected a built-in {self._kind}: {', '.join(self.classes)}. Received: {name!r}. Register a class "
                "of your own (keras.saving.register_keras_serializable), or pass it in custom_objects."
            )
        return cast(type[T], cls)

    def get(self, identifier: str | T) -> T:
        """A new instance with default arguments for a name; an instance is returned as it is.

        Raises:
            ConfigError: no such name, or an object of another kind.
        """
        if isinstance(identifier, str):
            cls = self._classes.get(identifier.lower()) or self.classes.get(identifier)
            if cls is not None:
                return cls()
            custom = get_registered_object(identifier)
            if isinstance(custom, type) and issubclass(custom, self._base):
                return cast(T, custom())
            near = difflib.get_close_matches(identifier.lower(), self._classes, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            known = ", ".join(self._classes)
            raise ConfigError(f"Unknown {self._kind}: '{identifier}'.{hint} Known are: {known}.")
        if not isinstance(identifier, self._base):
            raise ConfigError(
                f"Expected the name of a built-in {self._kind} or a {self._base.__name__} instance. "
                f"Received: {identifier!r} of type {type(identifier).__name__}."
            )
        return identifier


def made_with(cls: type[T], arguments: Mapping[str, Any]) -> T:
    """An object with these arguments and fields.

    A field that the class sets itself, and takes no argument for, must have the value that the class gives it.

    Raises:
        ConfigError: arguments that the class does not have.
    """
    taken = inspect.signature(cls).parameters
    takes_all = any(each.kind is each.VAR_KEYWORD for each in taken.values())
    try:
        made = cls(**{key: value for key, value in arguments.items() if takes_all or key in taken})
    except TypeError as error:
        raise ConfigError(f"{cls.__name__}: {error}") from None
    for key, value in arguments.items():
        if not takes_all and key not in taken and vars(made).get(key, made) != value:
            raise ConfigError(f"{cls.__name__} takes no {key}={value!r}.")
    return made


def described(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The configurations of parts, such as the initializers of a layer; None for None."""
    return {
        role: None if part is None else {"class": get_registered_name(type(part)), **part.get_config()}
        for role, part in parts.items()
    }
