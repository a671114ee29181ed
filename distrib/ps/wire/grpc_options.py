"""Options of all gRPC channels and servers.

gRPC's defaults do not notice a dead link or a frozen peer, let two servers share a port, follow `http_proxy`, and may
send a call twice. With these, a link that is cut or a peer that is stopped is noticed in about 2 s (measured), and a
peer that only computes is not taken for dead. `DISTRIB_KEEPALIVE_S` (1) makes all of that longer, for slow links.
"""

from __future__ import annotations

import os
from typing import TypeAlias

from distrib.base import environment
from distrib.ps.policy.admission.rules import MAX_STREAMS

# Otherwise gRPC prints a line for every stream that ends.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

SURELY_LIVES_S = 4 * environment.seconds(environment.KEEPALIVE_S)
"""The end of a process, or of its host, is noticed before."""

RECONNECT_S = 2 * environment.seconds(environment.KEEPALIVE_S)
"""A worker whose stream has ended may open another one for so long before the others go on without it."""

CHUNK_BYTES = 1 << 20
MAX_MESSAGE_BYTES = CHUNK_BYTES + (1 << 18)
"""A chunk, and room for a description and a summary."""

MAX_CALLS = MAX_STREAMS + 32
"""Calls that a ps serves at once, each in a thread of its own: all streams, and some for `Stop` and `Leave`, for
looks at its health, and for streams whose end is not noticed yet."""

Options: TypeAlias = list[tuple[str, int]]

# A window of fixed size. Where gRPC measures and adapts it, a push of 320 kB may take twice the processor time.
_FLOW: Options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 4 << 20)]

_KEEPALIVE_MS = int(1000 * environment.seconds(environment.KEEPALIVE_S))

CHANNEL: Options = [
    *_FLOW,
    ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", _KEEPALIVE_MS),
    ("grpc.http2.ping_timeout_ms", _KEEPALIVE_MS * 3 // 2),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
]

SERVER: Options = [
    *_FLOW,
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_time_ms", 2 * _KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", _KEEPALIVE_MS),
    ("grpc.http2.ping_timeout_ms", 2 * _KEEPALIVE_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
]
