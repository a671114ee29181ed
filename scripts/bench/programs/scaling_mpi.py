"""All-reduce and training over hosts, beside what plain sockets reach; started by `scripts/bench/scaling.py`."""

from __future__ import annotations

import json
import socket
import statistics
import sys
import threading
import time
from pathlib import Path

import numpy as np

import distrib
from distrib.comm.hierarchical import ranks_by_host

VECTOR_BYTES = 16 << 20
PORT = 47_311


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
        "training": training(strategy),
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


def training(strategy: distrib.Strategy) -> dict[str, float]:
    """Seconds of a step of a 784-1024-1024-1024-10 model, 100 examples per replica."""
    batch_size = 100 * strategy.num_replicas_in_sync
    rng = np.random.default_rng(0)
    x, y = rng.random((4 * batch_size, 784), dtype=np.float32), rng.integers(0, 10, 4 * batch_size)
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
    model.fit(x, y, batch_size=batch_size, verbose=0)
    begin, sent = time.perf_counter(), strategy.communicator.counters.payload_bytes
    model.fit(x, y, batch_size=batch_size, epochs=2, verbose=0)
    sent = strategy.communicator.counters.payload_bytes - sent
    return {"step_seconds": (time.perf_counter() - begin) / 8, "payload_bytes_of_rank_0": sent / 8}


if __name__ == "__main__":
    main()
