"""Optimizers, one a file, with Keras' names, defaults and order of operations."""

from distrib.nn import schedules
from distrib.nn.optimizers.adadelta import Adadelta
from distrib.nn.optimizers.adagrad import Adagrad
from distrib.nn.optimizers.adam import Adam
from distrib.nn.optimizers.adamax import Adamax
from distrib.nn.optimizers.adamw import AdamW
from distrib.nn.optimizers.ftrl import Ftrl
from distrib.nn.optimizers.lion import Lion
from distrib.nn.optimizers.nadam import Nadam
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.registry import from_config, get
from distrib.nn.optimizers.rmsprop import RMSprop
from distrib.nn.optimizers.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "from_config",
    "get",
    "schedules",
]


def __dir__() -> list[str]:
    return __all__
