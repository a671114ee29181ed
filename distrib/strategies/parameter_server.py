"""ParameterServerStrategy: the values live on parameter servers; workers push gradients and pull values.

    strategy = ParameterServerStrategy(mode="async", staleness=DropStale(4))

What becomes of gradients: `ps/policy/order/sequencer.py`, `ps/policy/order/aggregation.py`. How they travel:
`ps/client/client.py`, `ps/server/servicer.py`.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.base import exit_codes
from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, exit_code_of
from distrib.cluster.resolve import resolve
from distrib.cluster.resolvers import ClusterResolver
from distrib.comm.reduce_op import ReduceOp
from distrib.nn.network import Network
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.policy.admission.staleness import AcceptStale, StalenessPolicy
from distrib.ps.policy.ranges import ranges_of
from distrib.ps.wire.requirements import run_token
from distrib.strategies.default import DefaultStrategy
from distrib.strategies.strategy import Strategy
from distrib.strategies.update.training import Training
from distrib.strategies.update.updater import NonFinitePolicy

if TYPE_CHECKING:
    from distrib.ps.client.client import Client
    from distrib.strategies.ps_worker.updater import PsUpdater


class ParameterServerStrategy(Strategy):
    """Training on workers around parameter servers, which the cluster names.

    Every worker runs the same script; the chief is worker 0. In a ps, which may run the script too, making a strategy
    serves until the job ends, and then ends the process, as with TensorFlow. Examples are leased, so in each epoch
    each example is applied exactly once, even if workers are slow or die. With `mode="sync"` and no backup workers
    the result is that of one process, up to the rounding of a reordered sum.

    Args:
        cluster_resolver: knows the cluster and the task of this process; by default the environment does
            (TF_CONFIG, for one).
        mode: `"sync"`: an update takes the gradients of all workers but the slowest `num_backup_workers`;
            `batch_size` is that of the update. `"async"`: each gradient is an update, and `batch_size` is that of
            one gradient.
        num_backup_workers: workers that a synchronous update does not wait for.
        staleness: what to do about stale gradients in async: `DropStale`, `ScaleStale`, `BoundStale`; all count by
            default.
        warmup_steps: updates that the chief makes alone, before the others begin.
        warmup_epochs: epochs that the chief trains alone.
        learning_rate_factor: async: by what to multiply the learning rate.
        batch_size_factor: async: by what to multiply the batch size.
        prefetch: async: push in the background, and compute the next lease meanwhile. For links that are slow beside
            the computing; a gradient's staleness is higher by one.
        share_memory: let parameter servers on this host read gradients and write values in place.
        timeout_s: seconds to wait for an answer.
        ps_timeout_s: seconds to wait for a parameter server to come, or to come back.
        start_timeout_s: seconds for which the first step waits for workers of the cluster that have not come yet.
            After that the others begin; one that comes later takes part from then on.

    Raises:
        ConfigError: no cluster with ps, or an invalid argument.

    Attributes:
        rules: how gradients become updates.
        client: this worker's connection to the parameter servers; None on an evaluator.
    """

    replicas_meet = False

    def __init__(
        self,
        cluster_resolver: ClusterResolver | None = None,
        mode: str = "sync",
        num_backup_workers: int = 0,
        staleness: StalenessPolicy | None = None,
        warmup_steps: int = 0,
        warmup_epochs: int = 0,
        learning_rate_factor: float = 1.0,
        batch_size_factor: float = 1.0,
        prefetch: bool = False,
        share_memory: bool = True,
        timeout_s: float = 600.0,
        ps_timeout_s: float = 60.0,
        start_timeout_s: float = 60.0,
    ) -> None:
        found = resolve(cluster_resolver)
        evaluates = found.type == "evaluator"
        if found.type == "ps":
            from distrib.ps.server.server import serve

            serve(found)
            sys.exit()
        if not (found.ps or evaluates):
            raise ConfigError(
                "ParameterServerStrategy expects to be a chief, worker or evaluator of a cluster with parameter "
                f"servers. Received: {found} of a cluster with {len(found.ps)} ps. Start one with "
                "distrib.local_cluster(...), or `distrib ps --address HOST:PORT` and TF_CONFIG."
            )
        self._task = found
        self.rules = Rules(
            mode=mode,
            num_workers=found.num_workers,
            num_backup_workers=num_backup_workers,
            staleness=staleness or AcceptStale(),
            warmup_steps=warmup_steps,
            warmup_epochs=warmup_epochs,
            learning_rate_factor=learning_rate_factor,
            batch_size_factor=batch_size_factor,
            prefetch=prefetch,
            start_timeout_s=start_timeout_s,
        )
        from distrib.ps.client.client import Client  # gRPC is imported where it is used
        from distrib.strategies.ps_worker.script_position import ScriptPosition

        self.client: Client | None = None
        if not evaluates:
            self.client = Client(found.ps, found.worker, run_token(), timeout_s, ps_timeout_s, share_memory)
        self._phases = ScriptPosition()
        self._updater: PsUpdater | None = None
        self._trainings: dict[tuple[int, int], tuple[int, Optimizer]] = {}
        _OPEN.add(self)

    @property
    def num_replicas_in_sync(self) -> int:
        """Number of workers."""
        return self.rules.num_workers

    @property
    def replica_id(self) -> int:
        """Which worker this is; 0 is the chief."""
        return self._task.worker

    @property
    def is_chief(self) -> bool:
        """Whether this process shows progress and writes files."""
        return self._task.is_chief

    @property
    def counters(self) -> dict[str, Any]:
        """Statistics of pushes (pushed, applied, dropped, scaled, staleness), in total and for each worker.

        `effective_batch` is the examples applied / the updates: what an update was made of on average; for a
        worker, what it brought to the updates that it took part in.

        `seconds` is how this worker, and each of `workers`, spent its time: `compute`, `push`, `pull`, `barrier`;
        `bytes_sent` its gradients, but not what lies in shared memory.
        """
        return {} if self._updater is None else self._updater.counters()

    def reduce(self, reduce_op: ReduceOp | str, value: ArrayLike, axis: int | None = None) -> Array:
        return self._alone("reduce").reduce(reduce_op, value, axis)

    def gather(self, value: ArrayLike, axis: int = 0) -> Array:
        return self._alone("gather").gather(value, axis)

    def barrier(self) -> None:
        self._alone("barrier")

    def _alone(self, what: str) -> Strategy:
        """The strategy of the only worker. Raises `ConfigError` where there are several."""
        if self.num_replicas_in_sync > 1:
            raise ConfigError(
                f"{what} is not for ParameterServerStrategy: its {self.num_replicas_in_sync} workers come and go, "
                "and do not meet. What `fit` and `evaluate` return is summed over all of them."
            )
        return DefaultStrategy()

    def _place_of(self, optimizer: Optimizer) -> dict[str, int]:
        """Which training of the script this is, the same number on all workers, and where it begins.

        A ps keeps the state of every training, for one may go on when others were trained in between.
        """
        key = (id(optimizer), optimizer.era)
        number = self._trainings.setdefault(key, (len(self._trainings), optimizer))[0]
        place = {"training": number, "iterations": int(optimizer.iterations)}
        return {name: value for name, value in place.items() if value}  # as in checkpoints of before

    def training(
        self,
        network: Network,
        optimizer: Optimizer,
        on_nonfinite: NonFinitePolicy,
        description: Mapping[str, Any],
    ) -> Training:
        from distrib.strategies.ps_worker.description import check_supported, described
        from distrib.strategies.ps_worker.prefetch import Prefetch
        from distrib.strategies.ps_worker.updater import PsUpdater

        check_supported(optimizer)
        optimizer.claim(network.buffer.variables)
        buffer, client = network.buffer, self.client
        if client is None:
            raise ConfigError(f"ParameterServerStrategy: {self._task} does not train.")
        if buffer.size < len(self._task.ps):
            raise ConfigError(
                f"Expected fewer ps than weights. Received: {len(self._task.ps)} ps, {buffer.size} weights."
            )
        registered = {
            **described(network, optimizer, description),
            **self._place_of(optimizer),
            "rules": self.rules.get_config(),
            "ps": list(self._task.ps),
        }
        parts = ranges_of(registered, len(self._task.ps))
        if not all(part.size for part in parts):
            raise ConfigError(
                f"{len(parts)} ps are too many for tensors that are not cut: one of them would have none. Use fewer."
            )
        if self._updater is not None:
            self._updater.end_loop()
            self._updater.close()
        memory, prefetch = client.place(buffer.size, network.dtype, parts), None
        if self.rules.prefetch:
            prefetch = Prefetch(
                client, *(memory or (np.empty_like(buffer.grads), np.empty_like(buffer.values)))
            )
        elif memory is not None:
            grads, values = memory
            values[...] = buffer.values
            buffer.rebind(values, grads)
        self._updater = PsUpdater(
            client, self._phases, network, optimizer, on_nonfinite, registered, prefetch
        )
        return Training(self._updater, self._updater, self._updater)

    def join(self) -> None:
        """Wait until all workers are at the end of their loops; then all have the same values. Collective."""
        if self._updater is not None:
            self._updater.end_loop()

    def goes_on_with(self, training: Training) -> bool:
        if training.updater is self._updater:
            return True
        if self._updater is not None and self._updater.is_in_loop:
            raise ConfigError(
                "Under ParameterServerStrategy one optimizer updates all variables of a loop. Received: several in "
                "turn. Use fit with train_step of a model, or MirroredStrategy."
            )
        return False

    def close(self, reason: str = "") -> None:
        """Leave the job, at the end of the script by itself. The chief ends it, after all loops: every ps exits.

        Args:
            reason: why, if not all is well.
        """
        if self in _OPEN:
            _OPEN.discard(self)
            if self._updater is not None:
                if self.is_chief and not reason:
                    self._updater.end_loop()
                self._updater.close()
            if self.client is not None and self.is_chief:
                self.client.stop(reason)
            elif self.client is not None:
                self.client.leave()


_OPEN: set[ParameterServerStrategy] = set()


def close_all(error: BaseException | None = None) -> None:
    """Close every strategy that is open.

    Args:
        error: that ended the script, if one did.
    """
    for strategy in list(_OPEN):
        strategy.close(_reason(error or exit_codes.chosen()))


def _reason(error: BaseException | None) -> str:
    """Why a chief ends its job that `error` has ended."""
    if error is None:
        return ""
    if isinstance(error, SystemExit):
        return f"the chief ended early, with exit code {exit_code_of(error)}"
    return f"the chief failed: {error!r}"


atexit.register(lambda: close_all(getattr(sys, "last_value", None)))


def lose_worker(reason: str) -> bool | None:
    """End the training with `PeerLostError` if it has not begun yet, since a worker of it will not come.

    Args:
        reason: who it is, and why.

    Returns:
        False if the training has begun, and None if there is none yet that could.
    """
    clients = [strategy.client for strategy in list(_OPEN) if strategy.client is not None]
    if not clients:
        return None
    if any(client.has_pushed for client in clients):
        return False
    for client in clients:
        client.fail(reason)
    return True
