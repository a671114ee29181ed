"""Attributes: setting one that an object does not have is an error, as a misspelt argument is."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from distrib.base.arguments import FORMER_NAMES, Checked, HasArguments
from distrib.base.errors import ConfigError


class Sealed(Checked):
    """The metaclass of objects that have all their public attributes when `__init__` is over.

    Names that begin with an underscore are free, and so is everything on an instance of a user's subclass: it may
    have attributes of its own.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        made = super().__call__(*args, **kwargs)
        object.__setattr__(made, "_is_sealed", cls.__module__.partition(".")[0] == "distrib")
        return made


class HasAttributes(HasArguments, metaclass=Sealed):
    """Base of objects whose attributes are all known.

    Raises:
        ConfigError: from setting one that there is not, with the nearest that there is.
    """

    _is_sealed = False

    if not TYPE_CHECKING:  # with it, a type checker would take every name for an attribute

        def __getattr__(self, name: str) -> Any:
            known = [each for each in dir(type(self)) if each[0] != "_"]
            near = difflib.get_close_matches(FORMER_NAMES.get(name, name), known, 1) if name[0] != "_" else []
            advice = f" Did you mean {near[0]}?" if near else ""
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name}.{advice}", name=name, obj=self
            )

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self.__dict__ and self._is_sealed and name[0] != "_" and not hasattr(type(self), name):
            known = [each for each in dir(self) if each[0] != "_"]
            near = difflib.get_close_matches(FORMER_NAMES.get(name, name), known, 1)
            advice = f"Did you mean {near[0]}?" if near else "Make a subclass to add attributes."
            raise ConfigError(f"{type(self).__name__} has no attribute {name}. Received: {value!r}. {advice}")
        object.__setattr__(self, name, value)
