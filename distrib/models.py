"""`distrib.models`: models, and reading saved ones."""

from distrib.training.functional import Functional
from distrib.training.load_model import load_model
from distrib.training.model import Model
from distrib.training.sequential import Sequential

__all__ = ["Functional", "Model", "Sequential", "load_model"]


def __dir__() -> list[str]:
    return __all__
