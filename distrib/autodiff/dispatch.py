"""Dispatch: a NumPy function that is called on tensors is computed, and recorded if a tape is open."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from distrib.autodiff import rules  # noqa: F401  (fills the tables)
from distrib.autodiff.operations import COMPOSITES, PLAIN, RULES, UFUNC_REDUCTIONS, Dispatch, Rule
from distrib.autodiff.recorder import Node, Readable, open_tapes, record, refuse, tracking
from distrib.autodiff.tensor import (
    Tensor,
    as_tensor,
    check_not_tracked,
    plain,
    read,
    tracked,
    wrapped,
)
from distrib.autodiff.whole import sources_among


def apply(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a NumPy function on arguments among which there are tensors or variables, and record it."""
    if kwargs:
        _check_outputs(function, kwargs)
    if not open_tapes():
        return _computed(function, args, kwargs)
    args = tuple(map(read, args))
    composite = COMPOSITES.get(function)
    if composite is not None and any(_is_tracked(each) for each in (*args, *kwargs.values())):
        return composite(*args, **kwargs)
    if kwargs:
        kwargs = {name: read(each) for name, each in kwargs.items()}
        if any(_is_tracked(each) for each in kwargs.values()):
            args, kwargs = _by_position(function, args, kwargs)
    rule = RULES.get(function)
    if rule is not None and rule.of_sequence is not None:
        return _on_sequence(function, rule, args, kwargs)
    sources = [
        (i, each.node) for i, each in enumerate(args) if type(each) is Tensor and each.node is not None
    ]
    tapes = tracking(sources) if sources else ()
    if not tapes and not any(_is_tracked(each) for each in args):
        return _computed(function, args, kwargs)
    if rule is None:
        if function in PLAIN or not any(_is_tracked(each) for each in args):
            return _computed(function, args, kwargs)
        raise refuse(f"numpy.{getattr(function, '__name__', function)}")
    if kwargs and isinstance(function, np.ufunc):
        raise refuse(f"numpy.{function.__name__} with {', '.join(kwargs)}")
    taken = tuple(map(plain, args))
    value = np.asarray(function(*taken, **kwargs))
    if value.dtype.kind not in "fc":
        return value.view(Tensor)
    tensor = value.view(Tensor)
    tensor.node = record(tapes, value, sources, rule.gradients, taken, kwargs, function.__name__)
    return tensor


def apply_ufunc(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Any:
    """As `apply`, for what most operations are: a ufunc without other arguments than its operands."""
    tapes = open_tapes()
    if not tapes:
        return wrapped(ufunc(*map(plain, inputs)))
    taken = list(inputs)
    sources: list[tuple[int, Node]] = []
    for index, each in enumerate(inputs):
        if type(each) is Tensor:
            node = each.node
            taken[index] = each.view(np.ndarray)
        elif isinstance(each, Readable):
            node = each.node_on(tapes)
            taken[index] = each.value.copy() if node is None else each.value
        else:
            continue
        if node is not None:
            sources.append((index, node))
    recorded = tracking(sources) if sources else ()
    if not recorded:
        return wrapped(ufunc(*taken))
    rule = RULES.get(ufunc)
    if rule is None:
        if ufunc in PLAIN:
            return wrapped(ufunc(*taken))
        raise refuse(f"numpy.{ufunc.__name__}")
    value = np.asarray(ufunc(*taken))
    tensor = value.view(Tensor)
    tensor.node = record(recorded, value, sources, rule.gradients, tuple(taken), _NO_KWARGS, ufunc.__name__)
    return tensor


_NO_KWARGS: dict[str, Any] = {}


def _on_sequence(
    function: Callable[..., Any], rule: Rule, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Functions of a sequence of arrays: their operands are the elements of the first argument."""
    parts = [as_tensor(each) for each in args[0]] if len(args) else []
    sources = sources_among(parts)
    tapes = tracking(sources)
    if not tapes:
        return _computed(function, args, kwargs)
    taken = tuple(map(plain, parts))
    value = np.asarray(function(taken, *args[1:], **kwargs))
    assert rule.of_sequence is not None
    gradients = rule.of_sequence(taken, *args[1:], **kwargs)
    return tracked(value, record(tapes, value, sources, gradients, taken, {}, function.__name__))


def _is_tracked(value: Any) -> bool:
    if type(value) is Tensor:
        return value.node is not None and bool(tracking([(0, value.node)]))
    return isinstance(value, list | tuple) and any(map(_is_tracked, value))


def _computed(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return wrapped(function(*map(plain, args), **{key: plain(each) for key, each in kwargs.items()}))


def _check_outputs(function: Callable[..., Any], kwargs: dict[str, Any]) -> None:
    out = kwargs.get("out")
    for each in out if isinstance(out, tuple) else (out,):
        check_not_tracked(each, f"be the output of numpy.{function.__name__}")


def reduced(ufunc: np.ufunc, method: str, inputs: Any, kwargs: dict[str, Any]) -> Any:
    """`ufunc.reduce(x)` and its like, as the function that has a gradient."""
    function = UFUNC_REDUCTIONS.get((ufunc, method))
    if function is not None and not open_tapes():
        return _computed(getattr(ufunc, method), inputs, kwargs)
    if function is not None and set(kwargs) <= {"axis", "keepdims", "dtype"}:
        axis = kwargs.pop("axis", 0)
        return function(inputs[0], axis=axis, **kwargs)
    if any(_is_tracked(read(each)) for each in inputs):
        raise refuse(f"numpy.{ufunc.__name__}.{method}")
    _check_outputs(ufunc, kwargs)
    return _computed(getattr(ufunc, method), inputs, kwargs)


def _by_position(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments by name moved to their positions, for tensors among them."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    return bound.args, bound.kwargs


Dispatch.apply, Dispatch.apply_ufunc, Dispatch.reduced, Dispatch.tensor = apply, apply_ufunc, reduced, Tensor
