"""SharedBarrier: a barrier in shared memory at which ranks compare headers and exchange scalars.

Each rank owns a page that all others map. To arrive at a collective it writes its header and its scalars, and then
the number of the collective, its flag. It waits until every other flag has come as far, compares the headers with its
own, and reads the scalars. A rank may arrive at the next collective while others still read the scalars of this one,
but not at the one after that: they arrive at the next only when they have read. So two places for header and scalars,
used in turn, are enough. (A meeting within a collective counts too, and reads nothing.)
"""

from __future__ import annotations

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ProtocolError
from distrib.comm.messages.header import HEADER_BYTES, MAX_SCALARS, Header, difference
from distrib.comm.messages.transport import Transport
from distrib.comm.messages.wait import wait

_LINE = 64
_PLACE_BYTES = HEADER_BYTES + 8 * MAX_SCALARS
BARRIER_BYTES = _LINE + 2 * _PLACE_BYTES


class SharedBarrier:
    """The pages of all ranks.

    Args:
        transport: knows the peers, and whether they are well.
        pages: `(BOARD_BYTES,)` uint8 of each rank, in rank order.
        timeout_s: seconds to wait for another rank.
    """

    def __init__(self, transport: Transport, pages: list[Array], timeout_s: float) -> None:
        self._transport, self._timeout_s = transport, timeout_s
        self._flags = [page[:8].view(np.int64).data for page in pages]
        places = [[page[_LINE + i * _PLACE_BYTES :][:_PLACE_BYTES] for i in (0, 1)] for page in pages]
        self._headers = [[place[:HEADER_BYTES].data for place in two] for two in places]
        self._all_scalars = [[place[HEADER_BYTES:].view(np.float64) for place in two] for two in places]
        self._others = [rank for rank in range(transport.world_size) if rank != transport.rank]
        self._gathered: dict[int, Array] = {}
        self._number = 0

    def arrive(self, header: Header, scalars: Array) -> Array:
        """Say that this rank has come to the collective of `header`, and wait until all have.

        What a rank has written to shared memory before it arrived is seen by all others afterwards.

        Returns:
            `(world_size, len(scalars))` float64: the scalars of all ranks. Valid until the next call.

        Raises:
            ProtocolError: another rank is in another collective.
            PeerLostError: another rank is lost or does not come.
        """
        me, length, packed = self._transport.rank, scalars.size, header.pack()
        self._header = header
        self._number += 1
        turn = self._number % 2
        self._headers[me][turn][:] = packed
        self._all_scalars[me][turn][:length] = scalars
        flags, number = self._flags, self._number
        flags[me][0] = number
        all_scalars = self._gathered.get(length)
        if all_scalars is None:
            all_scalars = self._gathered[length] = np.empty((self._transport.world_size, length))
        all_scalars[me] = scalars
        for rank in self._others:
            if flags[rank][0] < number:
                wait([_Arrival(flags[rank], number)], self._transport, rank, header, self._timeout_s)
            received = self._headers[rank][turn]
            if received != packed:
                raise ProtocolError(
                    f"Rank {me} and {self._transport.who(rank)} are not in the same collective: "
                    f"{difference(header, received.tobytes())}. Every rank must make the same calls, "
                    "in the same order, with arrays of the same size and dtype.",
                    calls_differ=True,
                )
            all_scalars[rank] = self._all_scalars[rank][turn][:length]
        return all_scalars

    def meet(self) -> None:
        """Wait until all ranks have come as far within the collective at which they arrived last."""
        self._number += 1
        flags, number = self._flags, self._number
        flags[self._transport.rank][0] = number
        for rank in self._others:
            if flags[rank][0] < number:
                wait([_Arrival(flags[rank], number)], self._transport, rank, self._header, self._timeout_s)


class _Arrival:
    """The arrival of a rank, in the form that `wait` waits for."""

    __slots__ = ("_flag", "_number")

    def __init__(self, flag: memoryview, number: int) -> None:
        self._flag, self._number = flag, number

    def Test(self) -> bool:  # noqa: N802
        return bool(self._flag[0] >= self._number)
