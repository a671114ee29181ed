"""A job of real processes: one ps, and six workers, of which two are slowed five times and one is killed.

    python -m helpers.slow_and_killed '{"mode": "async", "batch_size": 2}' FOLDER

All are forked from this one, which has imported everything, so they begin at once. What each says is in FOLDER/name;
this one prints their exit codes, in the order ps, chief, worker 1 to 5.

Example i is the i-th unit vector, and the target is far away: its gradient is -1 for weight i, and 0 for all others,
whatever the values are. So the final weights themselves say how often, and in which updates, an example was applied.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

import distrib
from distrib.strategies.parameter_server import ParameterServerStrategy
from helpers import noting_ps
from helpers.ps import worker_of

NUM_WORKERS, NUM_EXAMPLES, EPOCHS = 6, 120, 9
SLOW, KILLED = (1, 4), 3
FAST_S, SLOW_S = 0.02, 0.1

DEADLINE_S = 40


class Pace(distrib.callbacks.Callback):
    """Sleeps before each batch. The one to be killed is killed before a batch: it holds a lease then."""

    def __init__(self, worker):
        super().__init__()
        self.worker, self.epoch = worker, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if self.worker == KILLED and self.epoch and batch:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(SLOW_S if self.worker in SLOW else FAST_S)


def work(worker, address, batch_size, **options):
    resolver = worker_of(worker, NUM_WORKERS, (address,))
    strategy = ParameterServerStrategy(resolver, share_memory=False, **options)
    with strategy.scope():
        layer = distrib.layers.Dense(
            1, use_bias=False, kernel_initializer="zeros", input_shape=(NUM_EXAMPLES,)
        )
        model = distrib.Sequential([layer], dtype="float64")
        model.compile(distrib.optimizers.SGD(1.0), "mean_absolute_error")
        model.fit(
            np.eye(NUM_EXAMPLES),
            np.full((NUM_EXAMPLES, 1), 1000.0),
            batch_size=batch_size,
            epochs=EPOCHS,
            shuffle=False,
            verbose=0,
            callbacks=[Pace(worker)],
        )
    strategy.close()
    print(json.dumps({"counters": strategy.counters, "weights": model.get_weights()[0].ravel().tolist()}))


def forked(file, role, *arguments, **options):
    """Call `role` in a process of its own, with what it says in a file; returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.alarm(DEADLINE_S)
        said = os.open(file, os.O_WRONLY | os.O_CREAT)
        os.dup2(said, 1)
        os.dup2(said, 2)
        code = role(*arguments, **options) or 0
    except SystemExit as end:  # as of a worker that comes after the end of the job
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(code)


def main(options, folder):
    signal.alarm(DEADLINE_S)
    pids = [forked(folder / "ps", noting_ps.main)]
    while "\n" not in (said := (folder / "ps").read_text() if (folder / "ps").exists() else ""):
        time.sleep(0.005)
    address = said.partition("ps listens on ")[2].split()[0]
    for worker in range(NUM_WORKERS):
        pids.append(forked(folder / f"worker {worker}", work, worker, address, **options))
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), Path(sys.argv[2]))
