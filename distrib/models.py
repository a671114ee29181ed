"""`distrib.models`: models, and reading saved ones."""

from distrib.training.functional import Functional
from distrib.training.load_model import load_model, save_model
from distrib.training.model import Model
from distrib.training.model_config import clone_model, model_from_json
from distrib.training.own_models import subclassed  # noqa: F401  (what subclasses of Model are based on)
from distrib.training.sequential import Sequential

__all__ = ["Functional", "Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


def __dir__() -> list[str]:
    return __all__
