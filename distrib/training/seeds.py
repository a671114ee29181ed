"""The global seed, and the numbering of models; both can be reset between tests.

A model that is made without a seed draws from the global seed and from its own number, so no two are equal: its
initial values by its number among the models made, shuffling and dropout by its number among the models that its
strategy has trained. A rank that makes a model for itself does not train it with the others: it changes neither what
rank 0 begins with, which all take, nor the order in which the replicas train models together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from distrib.base.errors import ConfigError
from distrib.data.pipeline.iteration import Iteration
from distrib.nn.calls.call_context import EagerDraws
from distrib.nn.rng import stream_key
from distrib.strategies import scope
from distrib.strategies.strategy import Strategy

_DEFAULT_SEED = 0
_SEED_BITS = 63


@dataclass
class _Numbers:
    """The seed, and what was counted since it was set."""

    seed: int = _DEFAULT_SEED
    named: dict[str, int] = field(default_factory=dict)
    made: int = 0
    drawn: int = 0
    trained: WeakKeyDictionary[Strategy, int] = field(default_factory=WeakKeyDictionary)


_OF_PROCESS = _Numbers()
_numbers: ContextVar[_Numbers] = ContextVar("distrib_numbers", default=_OF_PROCESS)


def set_random_seed(seed: int) -> None:
    """Set the global seed, and count models from the first on again: what follows repeats.

    Models made from here on draw initial values, dropout masks and shuffling from it, each model others. On several
    replicas rank 0's seed counts. Without this call the seed is 0, so runs repeat.

    Args:
        seed: an integer from 0 on.

    Raises:
        ConfigError: anything else.
    """
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or int(seed) < 0:
        raise ConfigError(f"set_random_seed expects an integer >= 0. Received: {seed!r}.")
    numbers = _numbers.get()
    numbers.seed, numbers.made, numbers.drawn = int(seed), 0, 0
    numbers.trained.clear()


def get_random_seed() -> int:
    """The global seed."""
    return _numbers.get().seed


def seed_of_next_array() -> tuple[int, int]:
    """What a random array that is drawn now follows from: the global seed, and its number since that was set."""
    numbers = _numbers.get()
    numbers.drawn += 1
    return numbers.seed, numbers.drawn


def _seed_of_next_call() -> int:
    """The seed of what a layer draws that is called by itself, in training."""
    return stream_key("call", *seed_of_next_array()) >> (128 - _SEED_BITS)


EagerDraws.next_seed = staticmethod(_seed_of_next_call)


def seed_of_next_model() -> int:
    """The seed of the initial values of a model that is made now, without a seed of its own."""
    numbers = _numbers.get()
    numbers.made += 1
    return _of_number(numbers.seed, numbers.made - 1)


def seed_of_next_training(strategy: Strategy) -> int:
    """The seed of shuffling and dropout of a model that this strategy begins to train now."""
    numbers = _numbers.get()
    number = numbers.trained.get(strategy, 0)
    numbers.trained[strategy] = number + 1
    return _of_number(numbers.seed, number)


def _of_number(seed: int, number: int) -> int:
    """The first model draws from the seed itself."""
    return stream_key("model", seed, number) >> (128 - _SEED_BITS) if number else seed


def next_model_name(name: str) -> str:
    """`sequential`, `sequential_1`, ...; each name is numbered by itself."""
    named = _numbers.get().named
    number = named[name] = named.get(name, -1) + 1
    return f"{name}_{number}" if number else name


@contextmanager
def counted_apart() -> Iterator[None]:
    """Count models from the first on in this thread, as if it were a process. For replicas that are threads."""
    token = _numbers.set(_Numbers(get_random_seed()))
    try:
        yield
    finally:
        _numbers.reset(token)


def clear_session(free_memory: bool = True) -> None:
    """Give names to models from the first on again, as in Keras.

    Args:
        free_memory: accepted for Keras' sake: what nothing refers to is freed anyway.
    """
    _numbers.get().named.clear()


def reset() -> None:
    """Forget the seed, the numbers and names given to models, and open scopes. For use between tests."""
    set_random_seed(_DEFAULT_SEED)
    _numbers.get().named.clear()
    scope.leave_all()


Iteration.default_seed = staticmethod(get_random_seed)  # type: ignore[method-assign]
