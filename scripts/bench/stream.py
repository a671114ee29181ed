#!/usr/bin/env python
"""Push, update and pull of a large model through gRPC, beside a bare gRPC stream that carries the same bytes.

    scripts/bench/stream.py --megabytes 32

One worker and one ps on the loopback interface, SGD, no shared memory. The bare stream sends the same chunks of bytes
one way and then the other, in a process of its own, with the same options and allocator, and nothing is done to them.
Both in turn. What the ps does between push and pull (looks for NaN, updates, copies the values) is told apart.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import machine
import grpc
import numpy as np
from distrib.host.malloc import keep_freed_memory
from distrib.nn.optimizers import SGD
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.client.client import Client
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.wire.grpc_options import CHANNEL, CHUNK_BYTES, SERVER

METHOD = "/bare/Stream"


def bare_server() -> None:
    """Receive all chunks up to an empty one, and send as many back, again and again."""

    def serve(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        chunks = []
        for chunk in requests:
            if chunk:
                chunks.append(chunk)
            else:
                yield from chunks
                chunks.clear()

    keep_freed_memory()
    handler = grpc.stream_stream_rpc_method_handler(serve)
    server = grpc.server(ThreadPoolExecutor(4), options=SERVER)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare", {"Stream": handler}),))
    print(f"listens on 127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", flush=True)
    server.start()
    sys.stdin.read()


def bare(address: str, num_bytes: int) -> Callable[[], None]:
    """One round trip over the bare stream."""
    requests: SimpleQueue[bytes | None] = SimpleQueue()
    channel = grpc.insecure_channel(address, options=CHANNEL)
    replies = channel.stream_stream(METHOD)(iter(requests.get, None))
    chunks = [bytes(min(CHUNK_BYTES, num_bytes - at)) for at in range(0, num_bytes, CHUNK_BYTES)]

    def go() -> None:
        for chunk in [*chunks, b""]:
            requests.put(chunk)
        for _ in chunks:
            next(replies)

    return go


def ours(address: str, num_bytes: int, rounds: int) -> tuple[Callable[[], None], list[pb.Answer], Client]:
    """One push and pull of a worker, the last answer, and its client."""
    size = num_bytes // 4
    client = Client([address], worker=0, share_memory=False)
    client.place(size, np.dtype("float32"))
    values, gradient = np.zeros(size, np.float32), np.ones(size, np.float32)
    description = {
        "size": size,
        "dtype": "float32",
        "optimizer": SGD().get_config(),
        "learning_rate": 0.1,
        "penalties": [],
        "layout": [["values", 0, size]],
        "rules": Rules("async", 1).get_config(),
        "ps": [address],
    }
    client.register(0, description, values)
    phase = {"kind": "train", "batch_size": 1, "num_sums": 4, "epoch": 0}
    phase |= {"num_examples": rounds + 1, "steps_per_epoch": rounds + 1}
    last = [client.begin(1, phase, values)]

    def go() -> None:
        number = last[0].version + 1
        message = pb.Push(phase=1, sequence=number, lease=last[0].lease, version=number - 1)
        message.batch_sums.extend([1.0, 0.0, 0.0, 0.0])
        last[0] = client.push(message, gradient, values)
        assert last[0].decision == pb.APPLIED

    return go, last, client


def start(*command: str) -> tuple[subprocess.Popen[str], str]:
    """A server, and its address."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().split()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--bare-server", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare_server:
        bare_server()
        return
    num_bytes = options.megabytes << 20
    other, bare_address = start(sys.executable, __file__, "--bare-server")
    ps, address = start(sys.executable, "-m", "distrib", "ps", "--no-shared-memory")
    push, last, client = ours(address, num_bytes, options.rounds + 1)
    programs = {"distrib": push, "bare stream": bare(bare_address, num_bytes)}
    seconds: dict[str, list[float]] = {name: [] for name in (*programs, "of which the ps")}
    for number in range(options.rounds + 1):
        for name, program in programs.items():
            begin = time.perf_counter()
            program()
            if number:  # the first one is warm-up
                seconds[name].append(time.perf_counter() - begin)
        if number:
            seconds["of which the ps"].append(last[0].waited)
    client.stop()
    client.close()
    ps.wait(10)
    other.kill()
    medians: dict[str, Any] = {name: statistics.median(each) for name, each in seconds.items()}
    for name, median in medians.items():
        print(f"{name:16} {1e3 * median:7.1f} ms")
    ratio = medians["bare stream"] / medians["distrib"]
    way = medians["bare stream"] / (medians["distrib"] - medians["of which the ps"])
    print(f"push, update and pull of {options.megabytes} MB at {ratio:.2f} of a bare stream")
    print(f"push and pull, without what the ps does between them, at {way:.2f}")
    if options.json:
        found = {"unset": machine.UNSET, "seconds": medians, "ratio": ratio, "ratio_of_the_way": way}
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
