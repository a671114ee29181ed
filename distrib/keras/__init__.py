"""`distrib.keras`: distrib's own objects, where scripts for Keras look for them.

from distrib import keras
from distrib.keras import layers, Model
"""

import importlib

from distrib.autodiff.tensor import Tensor
from distrib.base.missing import refuser
from distrib.keras import (
    activations,
    backend,
    callbacks,
    constraints,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    preprocessing,
    regularizers,
    saving,
    utils,
)
from distrib.nn.graph.symbolic import KerasTensor
from distrib.nn.initializers import Initializer
from distrib.nn.layers import Input, Layer
from distrib.nn.losses import Loss
from distrib.nn.metrics import Metric
from distrib.nn.optimizers import Optimizer
from distrib.nn.regularizers import Regularizer
from distrib.nn.variable import Variable
from distrib.training.model import Model
from distrib.training.seeds import clear_session
from distrib.training.sequential import Sequential

__version__ = "3.15.0"
"""The version of Keras whose names and defaults these are."""

__all__ = [
    "Initializer",
    "Input",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "Tensor",
    "Variable",
    "activations",
    "backend",
    "callbacks",
    "clear_session",
    "constraints",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "preprocessing",
    "random",
    "regularizers",
    "saving",
    "utils",
]

_refuse = refuser(
    __name__,
    {
        "applications": "there are no trained models. Load weights of your own.",
        "mixed_precision": "models compute in float32 or float64.",
        "wrappers": "wrappers for scikit-learn are not supported.",
        "distribution": "layers split over processes are not supported yet.",
    },
    __all__,
)


def __getattr__(name: str) -> object:
    """The operations, which stand on those of `distrib.tf`."""
    if name in ("ops", "random"):
        return importlib.import_module(f"distrib.keras.{name}")
    return _refuse(name)
