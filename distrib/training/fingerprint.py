"""Fingerprint: a description of what a replica is about to train, to be compared with that of others.

MPI does not notice replicas that train different models; it adds what it is given. So replicas compare this
description before the first step, and each shows the differences.
"""

from __future__ import annotations

import platform
import sys
from typing import Any

import numpy as np

from distrib.nn.network import Network
from distrib.training.arguments.compile_config import CompileConfig
from distrib.version import __version__


def describe(network: Network, compiled: CompileConfig) -> dict[str, Any]:
    """Model, optimizer and versions, as nested JSON values."""
    return {"model": describe_network(network), **compiled.describe(), "versions": versions()}


def describe_network(network: Network) -> dict[str, Any]:
    """The layers of the network, and the layout of its variables."""
    return {
        "input_shape": list(network.input_shape),
        "dtype": network.dtype.name,
        "seed": network.seed,
        "layers": [layer.get_config() for layer in network.layers],
        "variables": [
            [name, list(v.shape), v.dtype.name, v.trainable] for name, v in network.variables.items()
        ],
    }


def versions() -> dict[str, str]:
    """The versions of the software that computes."""
    return {
        "distrib": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "byteorder": sys.byteorder,
    }
