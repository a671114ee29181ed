# MPICH puts ssh's option -x in front of this file's name. To Python it means to skip the first line: this one.
"""Agent: how mpirun reaches another host: ssh, with the options that the environment names.

    agent.py HOST COMMAND...

Only the standard library is used, so that it starts at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys

VARIABLE = "DISTRIB_SSH"
"""Holds ssh and its options, as JSON: mpirun would cut an option at its spaces."""


def main() -> None:
    """Become ssh, which signals to every process of a job do not end."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    command = json.loads(os.environ.get(VARIABLE, '["ssh"]'))
    os.execvp(command[0], [*command, *sys.argv[1:]])


if __name__ == "__main__":
    main()
