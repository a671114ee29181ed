"""Optimizers, one a file, with Keras' names, defaults and order of operations."""

from distrib.nn import schedules
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.registry import deserialize, from_config, get, serialize
from distrib.nn.optimizers.rules.adadelta import Adadelta
from distrib.nn.optimizers.rules.adafactor import Adafactor
from distrib.nn.optimizers.rules.adagrad import Adagrad
from distrib.nn.optimizers.rules.adam import Adam
from distrib.nn.optimizers.rules.adamax import Adamax
from distrib.nn.optimizers.rules.adamw import AdamW
from distrib.nn.optimizers.rules.ftrl import Ftrl
from distrib.nn.optimizers.rules.lamb import Lamb
from distrib.nn.optimizers.rules.lion import Lion
from distrib.nn.optimizers.rules.nadam import Nadam
from distrib.nn.optimizers.rules.rmsprop import RMSprop
from distrib.nn.optimizers.rules.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "from_config",
    "get",
    "schedules",
    "serialize",
]


def __dir__() -> list[str]:
    return __all__
