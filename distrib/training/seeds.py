"""The seed of everything random, and the names of models; both can be reset between tests."""

from __future__ import annotations

import itertools

from distrib.strategies import scope

_DEFAULT_SEED = 0

_seed = _DEFAULT_SEED
_model_numbers = itertools.count()


def set_random_seed(seed: int) -> None:
    """Set the seed of models made from here on: of their initial values, dropout masks and shuffling.

    Pass the same seed on every replica. Without this call the seed is 0, so runs repeat.
    """
    global _seed
    _seed = int(seed)


def get_random_seed() -> int:
    """The seed of models made now."""
    return _seed


def next_model_name() -> str:
    """`sequential`, `sequential_1`, ..."""
    number = next(_model_numbers)
    return f"sequential_{number}" if number else "sequential"


def reset() -> None:
    """Forget the seed, the names given to models, and open scopes. For use between tests."""
    global _model_numbers
    set_random_seed(_DEFAULT_SEED)
    _model_numbers = itertools.count()
    scope.leave_all()
