"""For each folder on stdin: a process that stops itself, and saves there when it is told to go on.

It starts nothing anew, so a save can be tried at every one of its system calls in little time. Prints the pid of the
process, what came of it, and how it has ended.
"""

import os
import signal
import sys

from campaigns.checkpoints import make

import distrib
from distrib.train import CheckpointManager

model = make()
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        manager = CheckpointManager(model, line.strip(), max_to_keep=1)
        manager.restore_or_initialize()
        model.optimizer.iterations += 1
        os.write(1, f"READY {os.getpid()}\n".encode())
        os.kill(os.getpid(), signal.SIGSTOP)
        try:
            said, code = f"saved {manager.save()}", 0
        except distrib.StorageError as error:
            said, code = f"refused {error}", error.exit_code
        try:
            os.write(1, f"{said}\n".encode())
        except OSError:
            pass
        os._exit(code)
    _, status = os.waitpid(pid, 0)
    print("ENDED", os.waitstatus_to_exitcode(status), flush=True)
