"""ExitHandler: how a rank ends. A failed rank ends all others, and none ends well beside a failed one.

Under plain `mpirun python script.py` an exception in one rank makes Python leave, the other ranks wait for it for
ever, and MPI's own clean-up waits for them. `ExitHandler` makes that safe, as `python -m mpi4py` would, and says
more:

- an uncaught exception prints its traceback, then one line that names rank, host and step; it is announced to
  all, and the process ends at once;
- a script that has ended (`sys.exit` counts) says so and waits for the other ranks; MPI is finalised only when all
  have ended well;
- when another rank fails, this one raises `PeerLostError` (or `ProtocolError`) in the collective it waits in; if
  it is not in one, or does not end within a grace period, its liveness client ends it.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

from distrib.base import exit_codes
from distrib.base.errors import DistribError, PeerLostError, ProtocolError, exit_code_of
from distrib.comm.liveness.client import LivenessClient
from distrib.comm.liveness.protocol import Fault, say
from distrib.host.helper_process import HelperProcess

_GRACE_S = 0.4
"""For the training thread to notice a fault in a collective."""

_HANDLING_GRACE_S = 10.0
"""For it to end, once it has noticed."""

_FINALIZE_GRACE_S = 10.0

_CAUSE_FIRST_S = 0.3
"""For a rank that has failed to end before those that it has failed."""

_COMMON_S = 2.0
"""For rank 0 to say what all ranks would."""


class ExitHandler:
    """Ends this process in good order, or at once.

    Args:
        finalize: finalises MPI.
        progress: lets MPI deliver what is still under way; called while waiting for the others.
        keeps_first_code: whether mpirun ends with the code of the rank that ends first. Then a rank that another
            has failed lets that one end first, so that the exit code is that of the cause.
    """

    def __init__(
        self,
        finalize: Callable[[], None],
        progress: Callable[[], object],
        keeps_first_code: bool = False,
    ) -> None:
        self._keeps_first_code = keeps_first_code
        self._finalize, self._progress = finalize, progress
        self._client: LivenessClient | None = None
        self._helper: HelperProcess | None = None
        self._exit_code: int | None = None
        self._noticed = threading.Event()
        self._pid = os.getpid()
        self._previous_hook = sys.excepthook
        sys.excepthook = self._on_exception
        atexit.register(self._at_exit)
        os.register_at_fork(after_in_child=self.in_forked_child)

    def guard(self, client: LivenessClient, helper: HelperProcess | None) -> None:
        """From here on, end together with the other ranks.

        Args:
            client: knows how they fare.
            helper: the server or the host agent, if this rank has started it; it ends by itself.
        """
        self._client, self._helper = client, helper

    def check(self) -> None:
        """Raise if another rank has failed, or if this process is a fork of a rank."""
        if os.getpid() != self._pid:
            raise ProtocolError(
                f"This process (pid {os.getpid()}) was forked from a rank (pid {self._pid}). MPI cannot be used "
                "in it: load data there, but train in the parent, or start the process with spawn."
            )
        if self._client is not None:
            try:
                self._client.check()
            except DistribError:
                self._noticed.set()
                raise

    def on_fault(self, fault: Fault) -> None:
        """Another rank has failed: make sure that this process ends. In the liveness client's thread.

        Who failed, or else the server, has said so; only if the server itself is gone nobody has. And who was given
        up says that it was.
        """
        client = self._client
        if client is not None and (client.server_is_lost or fault.rank == client.me.rank):
            say(f"{client.me} at step {client.step} ends: {client.failure}")
        threading.Thread(target=self._end_within_grace, args=(fault.exit_code,), daemon=True).start()

    def _end_within_grace(self, exit_code: int) -> None:
        if self._noticed.wait(_GRACE_S):
            time.sleep(_HANDLING_GRACE_S)
        _leave_now(exit_code)

    def _on_exception(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        client = self._client
        if client is not None and error is client.failure:
            self._exit_code = exit_code_of(error)
            return  # said already, by the client
        if client is not None and client.me.rank and isinstance(error, DistribError) and error.is_common:
            self._exit_code = exit_code_of(error)
            deadline = time.monotonic() + _COMMON_S
            while client.failure is None and time.monotonic() < deadline:
                time.sleep(0.01)
            return  # rank 0 has raised the same, and said so for all
        with contextlib.suppress(SystemExit):  # the exit code is set here
            self._previous_hook(kind, error, traceback)
        if os.getpid() != self._pid:
            return
        self._exit_code = exit_code_of(error)
        if client is None:
            return
        text = f"{kind.__name__}: {error}"
        say(f"{client.me} at step {client.step} failed: {text}")
        mismatch = isinstance(error, ProtocolError)
        others = ProtocolError.exit_code if mismatch else PeerLostError.exit_code
        client.announce(Fault(client.me.rank, client.step, f"failed: {text[:4000]}", others))
        self._noticed.set()  # threads of the user that do not end are given up after a while
        threading.Thread(target=self._end_within_grace, args=(self._exit_code,), daemon=True).start()

    def _at_exit(self) -> None:
        if os.getpid() != self._pid:
            return
        if self._exit_code is not None:
            if self._keeps_first_code and self._exit_code == PeerLostError.exit_code:
                time.sleep(_CAUSE_FIRST_S)
            _leave_now(self._exit_code)
        if self._client is not None:
            self._leave_together(self._client)
        deadline = threading.Timer(_FINALIZE_GRACE_S, _leave_now, (PeerLostError.exit_code,))
        deadline.daemon = True
        deadline.start()
        self._finalize()
        deadline.cancel()

    def _leave_together(self, client: LivenessClient) -> None:
        """Wait until every rank has ended its script. The client notices those that never will."""
        sys.stdout.flush()
        client.leave()
        chosen = exit_codes.chosen()
        # The others may have ended with the same code, as after SIGTERM. If not they fail now, and this is the cause.
        is_cause = chosen is not None and exit_code_of(chosen) != PeerLostError.exit_code
        deadline = time.monotonic() + (_CAUSE_FIRST_S / 2 if is_cause else math.inf)
        while not client.ended.wait(0.001):
            self._progress()
            if chosen is not None and time.monotonic() > deadline:
                _leave_now(exit_code_of(chosen))
            if client.failure is not None:
                _leave_now(exit_code_of(chosen or client.failure))
        if self._helper is not None:
            self._helper.close()

    def in_forked_child(self) -> None:
        """A child keeps no copy of the connections: they must close when the rank dies."""
        if self._client is not None:
            os.close(self._client.socket.detach())
        self._helper = self._client = None


def _leave_now(exit_code: int) -> None:
    """End the process without waiting for anybody: not for MPI, not for threads."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(exit_code)
