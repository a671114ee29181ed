"""The last calls of a worker: `Stop` or `Leave`, on all ps at once, with a deadline.

Calls one after the other would take too long: the last ps would take those that have ended for lost. The connections
that are open are used, since a ps or a host may have no room for another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

from distrib.base.logs import LOGGER
from distrib.proto import parameter_server_pb2 as pb
from distrib.proto import parameter_server_pb2_grpc as services
from distrib.ps.wire import tls

_TIMEOUT_S = 3.0


def tell_all(
    channels: Sequence[grpc.Channel],
    addresses: Sequence[str],
    metadata: list[tuple[str, str]],
    message: pb.StopRequest | pb.LeaveRequest,
) -> None:
    """Call `Stop` or `Leave` on every ps.

    Args:
        channels: to the first of them, as far as there are any.
        addresses: `host:port` of each.
        metadata: of the call: the token.
        message: says which call it is.
    """
    method = "Stop" if isinstance(message, pb.StopRequest) else "Leave"
    missing = [tls.channel(address) for address in addresses[len(channels) :]]
    stubs: list[Any] = [services.ParameterServerStub(each) for each in (*channels, *missing)]  # type: ignore[no-untyped-call]
    calls = [getattr(stub, method).future(message, timeout=_TIMEOUT_S, metadata=metadata) for stub in stubs]
    for address, call in zip(addresses, calls, strict=True):
        try:
            call.result()
        except grpc.RpcError as error:
            LOGGER.info("%s has not received %s: %s", address, method, error)
    for channel in missing:
        channel.close()
