"""Checks that all replicas hold the same values, as far as that can be found out.

More than half of the replicas cannot have drifted to the same values by themselves: what they hold is right, and the
others are named. Where no values are held by more than half, as with two replicas, there is no majority.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence

import numpy as np

from distrib.base.errors import ProtocolError
from distrib.base.tree_diff import differences, flatten
from distrib.comm.communicator import Communicator
from distrib.nn.network import Network
from distrib.nn.optimizers.optimizer import Optimizer

_HOW = (
    "Something changed them on some replicas only: an assignment that not every replica made, or a fault of "
    "the memory. "
)


def check_replicas(communicator: Communicator, network: Network, optimizer: Optimizer) -> None:
    """Compare a hash of the values, and the settings of the optimizer, with those of all replicas. Collective.

    Args:
        communicator: the collectives between the replicas.
        network: whose values are compared, those that are not trained, too.
        optimizer: whose settings are compared.

    Raises:
        ProtocolError: on every replica: they differ. The message names the replicas that do.
    """
    _compare_settings(communicator, optimizer)
    digest = zlib.crc32(network.buffer.values.data)
    for variable in network.fixed_variables.values():
        digest = zlib.crc32(variable.value.data, digest)
    digests = communicator.gather_scalars(np.array([float(digest)]))[:, 0].tolist()
    found = _drift(digests, optimizer.iterations)
    if found:
        raise ProtocolError(found)


def _compare_settings(communicator: Communicator, optimizer: Optimizer) -> None:
    """Raise `ProtocolError` where an optimizer was set on some replicas only: each updates a part."""
    config = optimizer.get_config() | {"iterations": optimizer.iterations}
    text = json.dumps(config, sort_keys=True, default=str).encode()
    if len(set(communicator.gather_scalars(np.array([float(zlib.crc32(text))]))[:, 0])) > 1:
        texts = communicator.gather_bytes(text)
        lines = differences([flatten(json.loads(text), "optimizer") for text in texts])
        raise ProtocolError(
            f"The optimizers of the replicas differ at step {optimizer.iterations}:\n{lines}\nSet the "
            "optimizer's attributes on every replica alike.",
            is_common=True,
        )


def _drift(digests: Sequence[float], step: int) -> str:
    """The error about replicas whose values differ; empty if they do not.

    Args:
        digests: a hash of the values of each replica, in rank order.
        step: the training step they are at.
    """
    versions = [_ranks(digests, digest) for digest in dict.fromkeys(digests)]
    if len(versions) == 1:
        return ""
    usual = max(versions, key=len)
    if 2 * len(usual) > len(digests):
        drifted = sorted(rank for version in versions if version is not usual for rank in version)
        return (
            f"The values of {_named(drifted)} differ from those of the other {len(usual)} at step {step}. {_HOW}"
            "If no callback or line of the script did, take that replica's host out and test its memory; go on from "
            "the last checkpoint."
        )
    return (
        f"The values of {' and those of '.join(map(_named, versions))} differ at step {step}, and no majority tells "
        f"which of them are right. {_HOW}If no callback or line of the script did, test the memory of these hosts; "
        "go on from the last checkpoint before this. With three replicas or more the one that drifts is named."
    )


def _ranks(digests: Sequence[float], digest: float) -> list[int]:
    return [rank for rank, each in enumerate(digests) if each == digest]


def _named(ranks: Sequence[int]) -> str:
    return ", ".join(f"rank {rank}" for rank in ranks)
