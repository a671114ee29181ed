"""Arguments of public calls: what does not fit a signature is a sentence, before anything is done.

Checked are names, and the types of parameters that are annotated with a plain `int`, `float`, `bool` or `str` (or
None besides). What else an argument must be is the business of the call.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from abc import ABCMeta
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

import numpy as np

from distrib.base.errors import ConfigError

P = ParamSpec("P")
R = TypeVar("R")

FORMER_NAMES = {"lr": "learning_rate", "decay": "weight_decay"}
"""Names of arguments and attributes that earlier versions of Keras had."""

_FOR_BASE = "kwargs"

_WORDS = {"int": "an integer", "float": "a number", "bool": "True or False", "str": "a string"}


def _fits(value: object, kind: str) -> bool:
    if kind == "bool":
        return isinstance(value, bool | np.bool_) or (isinstance(value, int) and value in (0, 1))
    if kind == "str":
        return isinstance(value, str)
    return isinstance(value, Integral if kind == "int" else Real) and not isinstance(value, bool | np.bool_)


class _Parameters:
    """The parameters of a function, behind its first if it is a method."""

    def __init__(self, parameters: Sequence[inspect.Parameter]) -> None:
        self.takes_any_name = any(each.kind is each.VAR_KEYWORD for each in parameters)
        self.takes_any_number = any(each.kind is each.VAR_POSITIONAL for each in parameters)
        named = [each for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
        self.names = [each.name for each in named]
        self.positional = [each.name for each in named if each.kind is each.POSITIONAL_OR_KEYWORD]
        self.required = [each.name for each in named if each.default is each.empty]
        self.kinds = []
        for each in named:
            kind, _, other = str(each.annotation).partition(" | ")
            if kind in _WORDS and other in ("", "None"):
                index = (
                    len(self.positional)
                    if each.kind is each.KEYWORD_ONLY
                    else self.positional.index(each.name)
                )
                self.kinds.append((index, each.name, kind, bool(other)))
        self._known = frozenset(self.names)
        self._required = [(name, self.names.index(name)) for name in self.required]
        self._kinds_given: dict[tuple[Any, ...], list[tuple[int, str, str, bool]]] = {}

    def check(self, call: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise `ConfigError` for arguments that the function does not take."""
        count = len(args)
        form = (count, *kwargs)  # the names of a call are checked once; later, only the values
        kinds = self._kinds_given.get(form)
        if kinds is None:
            self._check_names(call, args, kwargs)
            kinds = [each for each in self.kinds if each[0] < count or each[1] in kwargs]
            if not (self.takes_any_name or self.takes_any_number):
                self._kinds_given[form] = kinds
        for index, name, kind, may_be_none in kinds:
            value = args[index] if index < count else kwargs[name]
            if not (value is None and may_be_none) and not _fits(value, kind):
                none = " or None" if may_be_none else ""
                raise ConfigError(
                    f"{call} expects {name} to be {_WORDS[kind]}{none}. "
                    f"Received: {name}={value!r} of type {type(value).__name__}."
                )

    def _check_names(self, call: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        if len(args) > len(self.positional) and not self.takes_any_number:
            raise ConfigError(
                f"{call} takes {len(self.positional)} arguments at most ({', '.join(self.positional)}). "
                f"Received: {len(args)}."
            )
        if not self.takes_any_name:
            for name in kwargs:
                if name not in self._known:
                    raise ConfigError(unknown(call, name, kwargs[name], self.names))
        count = len(args)
        for name, index in self._required:
            if index >= count and name not in kwargs:
                missing = [name for name, index in self._required if index >= count and name not in kwargs]
                raise ConfigError(f"{call} expects {', '.join(self.names)}. Missing: {', '.join(missing)}.")


def unknown(call: str, name: str, value: object, known: Sequence[str]) -> str:
    """The error about an unknown argument."""
    near = difflib.get_close_matches(FORMER_NAMES.get(name, name), known, 1)
    advice = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known) or 'none'}."
    if name == "decay" and "weight_decay" in known:
        advice = "For a rate that decays pass learning_rate=schedules.InverseTimeDecay(rate, 1, decay)."
    return f"{call} has no argument {name}. Received: {name}={value!r}. {advice}"


@functools.cache
def _of_function(function: Callable[..., Any], is_method: bool) -> _Parameters:
    return _Parameters(list(inspect.signature(function).parameters.values())[is_method:])


@functools.cache
def _of_class(cls: type) -> _Parameters:
    """The parameters of the constructor; with those of its base class where it takes `**kwargs` for it."""
    found: dict[str, inspect.Parameter] = {}
    for each in cls.__mro__:
        if "__init__" in vars(each):
            own = list(inspect.signature(vars(each)["__init__"]).parameters.values())[1:]
            found |= {parameter.name: parameter for parameter in own if parameter.name not in found}
            if found.pop(_FOR_BASE, None) is None:
                break
    return _Parameters(list(found.values()))


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Check the arguments of every call of a public function or method."""
    is_method = next(iter(inspect.signature(function).parameters), "") == "self"
    parameters: _Parameters | None = None

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal parameters
        if parameters is None:
            parameters = _of_function(function, is_method)
        parameters.check(function.__name__, args[1:] if is_method else args, kwargs)
        return function(*args, **kwargs)

    return call


class Checked(ABCMeta):
    """The metaclass of public classes: checks the arguments of constructors, but not those of users' subclasses."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls.__module__.partition(".")[0] == "distrib":
            _of_class(cls).check(cls.__name__, args, kwargs)
        return super().__call__(*args, **kwargs)

    @property
    def __signature__(cls) -> inspect.Signature:
        """That of the constructor, which `inspect` would not find behind `__call__`."""
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
        return signature.replace(parameters=list(signature.parameters.values())[1:])


class HasArguments(metaclass=Checked):
    """Base of public classes whose constructors check their arguments.

    Raises:
        ConfigError: an argument that there is not, one that is missing, or one of another type.
    """
