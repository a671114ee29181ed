"""The first step waits for the workers that the cluster names, for a while."""

import time

import numpy as np
import pytest
from helpers.ps import on_workers, worker_of

import distrib

X, Y = np.ones((40, 3)), np.zeros((40, 1))


class Slow(distrib.callbacks.Callback):
    """Makes each step take long enough for the other workers to get their share of the steps."""

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.02)


def training(late_s):
    def body(strategy):
        if strategy.replica_id:
            time.sleep(late_s)
        model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(3,))])
        model.compile("sgd", "mse")
        model.fit(X, Y, batch_size=4, epochs=2, verbose=2, callbacks=[Slow()])
        return strategy.counters

    return body


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("num_ps", [1, 2])
def test_a_short_training_is_not_over_before_all_have_come(mode, num_ps):
    begin = time.monotonic()
    counters, *_ = on_workers(3, training(1.0), num_ps=num_ps, mode=mode)
    assert time.monotonic() - begin >= 1.0
    pushed = {worker: each["pushed"] for worker, each in counters["workers"].items()}
    assert set(pushed) == {"0", "1", "2"}
    assert all(pushed.values()), pushed


def test_after_the_wait_the_others_begin_and_the_table_lists_all(capsys, caplog):
    counters, _ = on_workers(3, training(0.0), mode="async", absent=1, start_timeout_s=0.3)[:2]
    assert "workers that never came: [2]" in caplog.text
    assert counters["workers"]["2"]["pushed"] == 0
    assert counters["applied"] == 20
    table = capsys.readouterr().out
    assert "worker 2           0         0         0" in table


@pytest.mark.parametrize("warmup", [{"warmup_steps": 3}, {"warmup_epochs": 1}])
def test_the_chief_warms_up_alone_and_then_waits(warmup):
    counters, *_ = on_workers(2, training(0.5), mode="async", **warmup)
    assert counters["workers"]["1"]["pushed"] > 0


def test_a_wait_that_cannot_be_right_is_refused():
    with pytest.raises(distrib.ConfigError, match="start_timeout_s >= 0"):
        distrib.ParameterServerStrategy(worker_of(0, 1, ("127.0.0.1:1",)), start_timeout_s=-1.0)
