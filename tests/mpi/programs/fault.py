"""What the programs with a fault share: they say that it fires, and when."""

import os
import signal
import time

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def fired(what: str = "") -> None:
    """Say so in one write, with the time, which is the same in all processes of the machine."""
    os.write(1, f"FAULT FIRED at {time.monotonic():.3f} {what}\n".encode())
