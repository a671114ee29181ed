"""Reconnects: waits a short while for workers whose stream to ps:0 has ended.

A worker opens all its streams anew when one to any ps breaks. Without this wait, the others would do a round without
it meanwhile, and a synchronous training would not be exact.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from distrib.ps.server.absence_timer import AbsenceTimer
from distrib.ps.server.worker_session import WorkerSession
from distrib.ps.wire.grpc_options import RECONNECT_S


class Reconnects:
    """Workers of one job that may reconnect.

    Args:
        lock: held where any of these methods is called, and while `give_up` is.
        give_up: called with the stream of a worker that has not opened another one in time, or that another
            process has replaced.
    """

    def __init__(self, lock: threading.RLock, give_up: Callable[[WorkerSession], None]) -> None:
        self._lock, self._give_up = lock, give_up
        self._awaited: dict[int, tuple[WorkerSession, AbsenceTimer]] = {}
        self._is_closed = False

    def wait_for(self, session: WorkerSession) -> None:
        """A worker's stream has ended."""
        timer = AbsenceTimer(RECONNECT_S, lambda: self._too_long(session))
        self._awaited[session.worker] = session, timer
        if not self._is_closed:
            timer.begin()

    def joins(self, session: WorkerSession) -> None:
        """A worker has opened a stream."""
        before, timer = self._awaited.pop(session.worker, (None, None))
        if before is not None and timer is not None:
            timer.end()
            if before.incarnation != session.incarnation:
                self._give_up(before)

    def give_up_now(self, worker: int) -> None:
        """A worker has said that it will not come back."""
        before, timer = self._awaited.pop(worker, (None, None))
        if before is not None and timer is not None:
            timer.end()
            if not self._is_closed:
                self._give_up(before)

    def awaits(self, worker: int) -> bool:
        """Whether a worker may still reconnect."""
        return worker in self._awaited

    def close(self) -> None:
        """The job has ended: give up no more workers.

        `awaits` still says which may come back and learn of the end.
        """
        with self._lock:
            self._is_closed = True
            for _, timer in self._awaited.values():
                timer.end()

    def _too_long(self, session: WorkerSession) -> None:
        with self._lock:
            if session.worker in self._awaited and self._awaited[session.worker][0] is session:
                self.give_up_now(session.worker)
