"""The description of a training, as a worker registers it with the parameter servers; and what they cannot train."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from distrib.base.errors import ConfigError
from distrib.base.ranges import Range
from distrib.nn.network import Network
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.regularizers import L1L2
from distrib.strategies.update.tensor_borders import borders_of


def check_supported(optimizer: Optimizer) -> None:
    """Raise `ConfigError` for what parameter servers cannot train."""
    if optimizer.use_ema:
        raise ConfigError(
            "use_ema is not for ParameterServerStrategy: workers do not meet at the end, when averages take the "
            "place of the values. Use MirroredStrategy."
        )
    if optimizer.gradient_accumulation_steps is not None:
        raise ConfigError(
            "gradient_accumulation_steps is not for ParameterServerStrategy: use a larger batch."
        )


_FOR_FIT = {"prefetch": False, "warmup_steps": 0, "warmup_epochs": 0, "batch_size_factor": 1.0}
"""Arguments of the strategy that only `fit` follows, and their defaults."""


def check_loop(rules: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for arguments of the strategy that a loop of one's own cannot follow."""
    given = [f"{name}={rules[name]!r}" for name, default in _FOR_FIT.items() if rules[name] != default]
    if given:
        raise ConfigError(
            f"Only fit follows {', '.join(_FOR_FIT)}, not a loop of one's own. Received: {', '.join(given)}."
        )


def described(network: Network, optimizer: Optimizer, script: Mapping[str, Any]) -> dict[str, Any]:
    """What is trained, as JSON values.

    Args:
        network: the network.
        optimizer: its optimizer.
        script: what the script does with them, to be compared between workers.

    Raises:
        ConfigError: a regularizer that the parameter servers do not have.
    """
    # The chief's callbacks count, and nothing that others do in theirs is waited for.
    compared = {key: value for key, value in script.items() if key != "callbacks"}
    buffer = network.buffer
    return {
        **json.loads(json.dumps(compared, default=str)),
        "size": buffer.size,
        "dtype": network.dtype.name,
        "optimizer": optimizer.get_config() | {"learning_rate": optimizer.learning_rate},
        "learning_rate": optimizer.learning_rate,
        "penalties": [
            [{"class": "L1L2", **_checked(regularizer).get_config()}, *own]
            for regularizer, own in network.penalties.ranges(Range(0, buffer.size))
        ],
        # What is not trained is on every worker, and must be the same there.
        "fixed": {name: zlib.crc32(v.numpy().data) for name, v in network.fixed_variables.items()},
        "layout": [[entry.name, *entry.range] for entry in buffer.layout],
        **tensors_described(network, optimizer),
    }


def tensors_described(network: Network, optimizer: Optimizer) -> dict[str, Any]:
    """What parameter servers have to know of single tensors, as JSON values; empty where they need not.

    Returns:
        `whole_tensors`, whether they must not be cut; `shapes` of all, in their order; `constraints` by name;
        `undecayed` names.
    """
    undecayed = [name for name, variable in network.variables.items() if not optimizer.decays(variable)]
    if not undecayed and borders_of(network, optimizer) is None:
        return {}
    return {
        "whole_tensors": borders_of(network, optimizer) is not None,
        "shapes": [list(entry.shape) for entry in network.buffer.layout],
        "undecayed": undecayed,
        "constraints": {
            name: {"class": type(constraint).__name__, **constraint.get_config()}
            for name, constraint in network.constraints.items()
        },
    }


def _checked(regularizer: object) -> L1L2:
    if not isinstance(regularizer, L1L2):
        raise ConfigError(f"A parameter server knows L1, L2 and L1L2 only. Received: {regularizer!r}.")
    return regularizer
