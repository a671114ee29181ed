"""Gradients defined by the user: `custom_gradient` and `stop_gradient`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from distrib.autodiff.recorder import Pullback, Readable, RecordingOn, open_tapes, record, tracking
from distrib.autodiff.structures import flat, in_structure
from distrib.autodiff.tape import GradientTape
from distrib.autodiff.tensor import as_tensor, read, tracked
from distrib.autodiff.whole import sources_among
from distrib.base.arguments import checked
from distrib.base.errors import ConfigError


@checked
def stop_gradient(input: Any, name: str | None = None) -> Any:
    """The same values, which are constants for a gradient.

    Args:
        input: a tensor, or a structure of tensors.
        name: accepted for TensorFlow's sake.
    """
    values = [
        as_tensor(np.asarray(each.value if isinstance(each, Readable) else each)) for each in flat(input)
    ]
    return in_structure(input, values)


@checked
def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function with a gradient of one's own, with TensorFlow's interface. For use as a decorator.

    Args:
        f: takes tensors, and returns its result and a function, which takes the gradient of the result (one for each
            where it has several) and returns that of each argument. If `f` reads trainable variables, that function
            also takes `variables`, a list, and returns a pair: the gradients of the arguments, and a list of those
            of the variables.

    Returns:
        The function, which is recorded as one operation.
    """

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        tapes = open_tapes()
        args = tuple(map(read, args))
        if not tapes:
            return f(*args, **kwargs)[0]
        inner = GradientTape()
        with RecordingOn((inner,)):
            result, gradient = f(*map(stop_gradient, args), **kwargs)
        variables = list(inner.watched_variables())
        taken = (*args, *(variable.read() for variable in variables))
        sources = sources_among(taken)
        recorded = tracking(sources)
        if not recorded:
            return result
        outputs = [np.asarray(each) for each in flat(result)]
        arrays = tuple(map(np.asarray, taken))

        def pulled_back(number: int) -> Pullback:
            def function(d_y: Any) -> list[Any]:
                given = [d_y if i == number else np.zeros_like(each) for i, each in enumerate(outputs)]
                given = [as_tensor(each) for each in given]
                if not variables:
                    return _checked(call, gradient(*given), len(args))
                of_args, of_variables = gradient(*given, variables=variables)
                return [*_checked(call, of_args, len(args)), *flat(of_variables)]

            return Pullback(function)

        made = [
            tracked(each, record(recorded, each, sources, pulled_back(i), arrays, {}, f.__name__))
            for i, each in enumerate(outputs)
        ]
        return in_structure(result, made)

    return call


def _checked(function: Callable[..., Any], gradients: Any, count: int) -> list[Any]:
    found = list(gradients) if isinstance(gradients, list | tuple) else [gradients]
    if len(found) != count:
        raise ConfigError(
            f"The gradient of {function.__name__} returns one for each of its {count} arguments. "
            f"Received: {len(found)}."
        )
    return [None if each is None else np.asarray(each) for each in found]
