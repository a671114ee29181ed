"""Hierarchical: inside each host through shared memory, between hosts around rings.

Every host has the same number of ranks. The ranks with the same place on their hosts form a *lane*, and each lane
owns a part of the vector:

- reduce-scatter: inside each host, each rank sums its lane's part over the ranks of the host; then each lane
  reduce-scatters its part around a ring of hosts. Each rank is left with its piece of its lane's part.
- all-gather: each lane gathers its part around its ring; then each rank writes it to all ranks of its host.

So a vector crosses each link between hosts as often as in one ring of hosts, not as often as there are ranks, and
the ranks of a host share the work of sending it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.base.ranges import Range
from distrib.comm.collectives.ring import RingCommunicator
from distrib.comm.collectives.shared_memory import SharedMemoryCommunicator
from distrib.comm.communicator import Communicator
from distrib.comm.messages.subgroup import Subgroup
from distrib.comm.messages.transport import Transport
from distrib.comm.messages.wait import DEFAULT_TIMEOUT_S
from distrib.comm.reduce_op import ReduceOp

_NO_SCALARS: Array = np.empty(0)


class HierarchicalCommunicator(Communicator):
    """Collectives over several hosts with the same number of ranks each. Making one is collective.

    Args:
        transport: moves messages between all ranks, and knows their hosts.
        timeout_s: seconds to wait for another rank before giving up.

    Raises:
        ConfigError: the hosts have different numbers of ranks.
        NoSharedMemoryError: on the ranks of a host that cannot share memory.
    """

    def __init__(self, transport: Transport, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.rank, self.world_size = transport.rank, transport.world_size
        groups = ranks_by_host(transport.hosts)
        if len({len(group) for group in groups}) > 1:
            raise ConfigError(
                "implementation='hierarchical' expects as many ranks on every host. Received: "
                f"{[len(group) for group in groups]}. Use implementation='ring'."
            )
        mine = next(group for group in groups if self.rank in group)
        self._place = mine.index(self.rank)
        lane = [group[self._place] for group in groups]
        self._ranks = [rank for group in groups for rank in group]  # by host and place
        self._order = np.argsort(self._ranks)
        self.transport = transport
        self._host = SharedMemoryCommunicator(Subgroup(transport, mine), timeout_s)
        self._lane = RingCommunicator(Subgroup(transport, lane), timeout_s)
        self.counters = self._lane.counters
        self.spans_hosts = self._lane.spans_hosts

    def own_range(self, num_elements: int) -> Range:
        lane = self._lane_range(num_elements)
        own = self._lane.own_range(lane.size)
        return Range(lane.begin + own.begin, lane.begin + own.end)

    def cut_at(self, borders: Sequence[int] | None, num_elements: int) -> None:
        self.is_cut = self.is_cut or borders is not None
        self._host.cut_at(borders, num_elements)
        lane = self._lane_range(num_elements)
        inside = borders and [each - lane.begin for each in borders if lane.begin <= each <= lane.end]
        self._lane.cut_at(inside, lane.size)

    def shared(self, vector: Array) -> Array:
        return self._host.shared(vector)

    def part(self, vector: Array, part: Range) -> Array:
        return self._host.part(vector, part)

    def reduce_scatter(
        self, vector: Array, op: ReduceOp = ReduceOp.SUM, scalars: Array | None = None
    ) -> Array:
        added = ReduceOp.SUM if op is ReduceOp.MEAN else op
        all_scalars = self._host.reduce_scatter(vector, added, scalars)
        lane = vector[self._lane_range(vector.size).slice]
        all_scalars = self._sorted(
            self._lane.reduce_scatter(lane, added, all_scalars.reshape(-1)), all_scalars.shape[1]
        )
        if op is ReduceOp.MEAN:
            own = vector[self.own_range(vector.size).slice]
            np.divide(own, self.world_size, out=own)
        return all_scalars

    def reduce_scatter_float16(self, vector: Array, residual: Array, scalars: Array | None = None) -> Array:
        all_scalars = self._host.reduce_scatter(vector, scalars=scalars)
        lane = self._lane_range(vector.size).slice
        scalars_of_lane = self._lane.reduce_scatter_float16(
            vector[lane], residual[lane], all_scalars.reshape(-1)
        )
        return self._sorted(scalars_of_lane, all_scalars.shape[1])

    def all_gather(self, vector: Array, scalars: Array | None = None) -> Array:
        scalars = _NO_SCALARS if scalars is None else scalars
        lane = vector[self._lane_range(vector.size).slice]
        all_scalars = self._host.all_gather(vector, self._lane.all_gather(lane, scalars).reshape(-1))
        by_place = all_scalars.reshape(self._host.world_size, self._lane.world_size, scalars.size)
        return self._sorted(by_place.swapaxes(0, 1), scalars.size)

    def gather_scalars(self, scalars: Array) -> Array:
        all_scalars = self._host.gather_scalars(scalars)
        return self._sorted(self._lane.gather_scalars(all_scalars.reshape(-1)), scalars.size)

    def gather_bytes(self, payload: bytes) -> list[bytes]:
        texts = [text.decode("latin-1") for text in self._host.gather_bytes(payload)]
        hosts = self._lane.gather_bytes(json.dumps(texts).encode())
        payloads = [text.encode("latin-1") for host in hosts for text in json.loads(host)]
        return [payloads[index] for index in self._order]

    def broadcast(self, vector: Array, root: int = 0) -> None:
        host, place = divmod(self._ranks.index(root), self._host.world_size)
        # In vain on all hosts but that of the root, but all ranks make the same calls.
        self._host.broadcast(vector, place)
        self._lane.broadcast(vector[self._lane_range(vector.size).slice], host)
        self._host.barrier()  # no rank of this host still receives what is discarded, over what is gathered now
        self._host.all_gather(vector)

    def _lane_range(self, num_elements: int) -> Range:
        return self._host.own_range(num_elements)

    def _sorted(self, all_scalars: Array, length: int) -> Array:
        """Rows by host and place, in rank order."""
        return all_scalars.reshape(self.world_size, length)[self._order]


def ranks_by_host(hosts: list[str]) -> list[list[int]]:
    """The ranks of each host, hosts in the order of their first rank."""
    return [[rank for rank, each in enumerate(hosts) if each == host] for host in dict.fromkeys(hosts)]
