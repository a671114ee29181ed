"""All-reduce and training over hosts, beside what plain sockets reach; started by `scripts/bench/scaling.py`."""

from __future__ import annotations

import json
import socket
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

import distrib
import numpy as np
from distrib.comm.collectives.hierarchical import ranks_by_host

from stopwatch import Steps

VECTOR_BYTES = 16 << 20
PORT = 47_311
STEPS = 6


def main() -> None:
    report, rounds = Path(sys.argv[1]), int(sys.argv[2])
    strategy = distrib.MirroredStrategy()
    communicator = strategy.communicator
    hosts = [
        bytes(row[row > 0].tolist()).decode() for row in strategy.gather(name_of(socket.gethostname())[None])
    ]
    names = list(dict.fromkeys(hosts))
    vector = communicator.shared(np.zeros(VECTOR_BYTES // 4, np.float32))
    limits, steps = [], []
    sent = communicator.counters.payload_bytes
    for _ in range(rounds):
        communicator.barrier()
        is_first = strategy.replica_id in [group[0] for group in ranks_by_host(hosts)]
        if len(names) > 1:
            rate = plain_sockets(names) if is_first else 0.0
            limits.append(float(strategy.reduce("MAX", rate)))
        communicator.barrier()
        begin = time.perf_counter()
        communicator.all_reduce(vector)
        steps.append(time.perf_counter() - begin)
    sent = (communicator.counters.payload_bytes - sent) // rounds
    result = {
        "hosts": len(names),
        "ranks": strategy.num_replicas_in_sync,
        "implementation": type(communicator).__name__,
        "vector_bytes": VECTOR_BYTES,
        "payload_bytes_of_rank_0": sent,
        "step_seconds": statistics.median(steps),
        "socket_bytes_per_second": statistics.median(limits) if limits else None,
        "training": training(strategy, rounds),
    }
    if strategy.is_chief:
        report.write_text(json.dumps(result))


def name_of(host: str) -> np.ndarray:
    padded = np.zeros(64, np.int64)
    padded[: len(host)] = list(host.encode())
    return padded


def plain_sockets(names: list[str], num_bytes: int = 16 << 20) -> float:
    """Bytes a second that this host sends to its right neighbour while it receives as many from its left."""
    me = names.index(socket.gethostname())
    address = socket.gethostbyname(names[me])
    payload = bytes(num_bytes)
    with socket.create_server((address, PORT)) as server:
        received = threading.Thread(target=drain, args=(server, num_bytes))
        received.start()
        time.sleep(0.2)
        with socket.create_connection((names[(me + 1) % len(names)], PORT), 10) as connection:
            begin = time.perf_counter()
            connection.sendall(payload)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
            seconds = time.perf_counter() - begin
        received.join(30)
    return num_bytes / seconds


def drain(server: socket.socket, num_bytes: int) -> None:
    server.settimeout(10)
    connection, _ = server.accept()
    with connection:
        buffer = bytearray(1 << 20)
        while num_bytes > 0:
            num_bytes -= connection.recv_into(buffer) or num_bytes


def training(strategy: distrib.Strategy, rounds: int) -> dict[str, Any]:
    """Seconds of a step of a 784-1024-1024-1024-10 model: at once, with overlap, and with float16 on the wire too.

    The batch is chosen so that a replica computes about as long as it communicates.
    """
    variants = {
        "at once": distrib.CommunicationOptions(bucket_bytes=0),
        "overlap": distrib.CommunicationOptions(),
        "overlap, float16": distrib.CommunicationOptions(compression="float16"),
    }
    alone = distrib.DefaultStrategy()
    computing = [step_seconds(alone, examples) for _ in range(2) for examples in (100, 500)][2:]
    per_example = float(strategy.reduce("MAX", (computing[1] - computing[0]) / 400))
    update = float(strategy.reduce("MAX", computing[0])) - 100 * per_example
    communicating = (
        step_seconds(distrib.MirroredStrategy(variants["at once"], strategy.communicator), 1) - update
    )
    communicating = float(strategy.reduce("MAX", communicating))
    examples = max(1, round(communicating / per_example))
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    sent = dict.fromkeys(variants, 0.0)
    for _ in range(rounds):
        for name, options in variants.items():
            before = strategy.communicator.counters.payload_bytes
            variant = distrib.MirroredStrategy(options, strategy.communicator)
            seconds[name].append(step_seconds(variant, examples))
            sent[name] = (strategy.communicator.counters.payload_bytes - before) / (STEPS + 1)
    return {
        "examples_per_replica": examples,
        "communicating_seconds": communicating,
        "computing_seconds": per_example * examples + update,
        "step_seconds": {name: statistics.median(each) for name, each in seconds.items()},
        "payload_bytes_of_rank_0": sent,
    }


def step_seconds(strategy: distrib.Strategy, examples_per_replica: int) -> float:
    batch_size = examples_per_replica * strategy.num_replicas_in_sync
    rng = np.random.default_rng(0)
    x, y = rng.random((batch_size, 784), dtype=np.float32), rng.integers(0, 10, batch_size)
    with strategy.scope():
        model = distrib.Sequential(
            [
                distrib.layers.Dense(1024, activation="relu", input_shape=(784,)),
                distrib.layers.Dense(1024, activation="relu"),
                distrib.layers.Dense(1024, activation="relu"),
                distrib.layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
    watch = Steps()
    model.fit(x, y, batch_size=batch_size, epochs=STEPS + 1, verbose=0, callbacks=[watch])
    return statistics.median(watch.seconds[1:])


if __name__ == "__main__":
    main()
