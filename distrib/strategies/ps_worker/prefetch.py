"""Prefetch: calls to the parameter servers in the background, while the next lease is computed.

Without it a worker computes, or pushes and pulls. With it both happen at once: it holds two leases, and while it
computes the one, the gradient of the other is pushed, and the values and the lease for the next one are fetched. So a
gradient is of values that are one push of this worker older: its staleness is higher by one, and is counted so.

Gradients and values that travel lie in memory of their own, as those of the network are in use.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.client.client import Client


class Prefetch:
    """One call at a time, in a thread.

    Args:
        client: the streams to the ps.
        grads: `(size,)`; what travels.
        values: `(size,)`; what comes.

    Attributes:
        values: as given; those of the last answer.
        is_busy: whether an answer is to be taken.
    """

    def __init__(self, client: Client, grads: Array, values: Array) -> None:
        self._client, self._grads, self.values = client, grads, values
        self._calls: SimpleQueue[Callable[[], pb.Answer] | None] = SimpleQueue()
        self._answers: SimpleQueue[pb.Answer | BaseException] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self.is_busy = False

    def begin(self, phase: int, description: dict[str, Any]) -> None:
        """Ask for one more lease of a phase."""
        self._start(lambda: self._client.begin(phase, description, self.values))

    def push(self, message: pb.Push, gradient: Array) -> None:
        """Hand in a gradient; it may be overwritten at once."""
        np.copyto(self._grads, gradient)
        self._start(lambda: self._client.push(message, self._grads, self.values))

    def settle(self) -> None:
        """Wait until the client is free for another call; the answer stays for `answer`."""
        if self.is_busy:
            self._answers.put(self._answers.get())

    def answer(self) -> pb.Answer:
        """Wait for the answer to what was started.

        Raises:
            DistribError, SystemExit: what the call has raised.
        """
        answer = self._answers.get()
        self.is_busy = False
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self) -> None:
        """Start nothing any more."""
        self._calls.put(None)

    def _start(self, call: Callable[[], pb.Answer]) -> None:
        if self._thread is None:
            # It ends with the process: who leaves in the middle of a call waits for nothing.
            self._thread = threading.Thread(target=self._run, name="prefetch", daemon=True)
            self._thread.start()
        self.is_busy = True
        self._calls.put(call)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                self._answers.put(call())
            except BaseException as error:
                self._answers.put(error)
