"""Tensor borders: where owners' ranges may begin, and which tensors lie in them.

Most optimizers update single elements, and a range may cut a tensor. Where a norm of a whole tensor is needed (Lamb,
Adafactor, `clipnorm`, constraints), ranges begin at tensors' borders, so that each tensor has one owner; nothing more
is sent, and slots stay spread over the owners. The price: a large tensor is one owner's, however many there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from distrib.base.ranges import Range
from distrib.nn.network import Network
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.tensor_part import TensorPart


def borders_of(network: Network, optimizer: Optimizer) -> list[int] | None:
    """The borders that owners' ranges may begin at, ascending; None where they may begin anywhere."""
    if not optimizer.whole_tensors and not network.constraints:
        return None
    return [0, *(entry.range.end for entry in network.buffer.layout)]


def tensors_in(network: Network, optimizer: Optimizer, owned: Sequence[Range]) -> list[TensorPart]:
    """The tensors in the owned ranges, where they lie in all owned elements one after the other."""
    parts, begin = [], 0
    for own in owned:
        for entry, shared in network.buffer.entries_in(own):
            where = Range(begin + shared.begin - own.begin, begin + shared.end - own.begin)
            shape = entry.shape if shared == entry.range else (shared.size,)
            decays = optimizer.decays(network.variables[entry.name])
            parts.append(TensorPart(entry.name, shape, where, network.constraints.get(entry.name), decays))
        begin += own.size
    return parts
