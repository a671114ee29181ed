"""Strategies under other names of tf.distribute, and the devices and reductions that these take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distrib.base.arguments import HasArguments
from distrib.base.errors import ConfigError
from distrib.base.logs import LOGGER
from distrib.cluster.resolvers import ClusterResolver
from distrib.strategies.default import DefaultStrategy
from distrib.strategies.mirrored import MirroredStrategy
from distrib.strategies.options import CommunicationOptions


class CrossDeviceOps(HasArguments):
    """How TensorFlow combines gradients between the devices of a process. Here a process is one replica.

    Args:
        kwargs: accepted for TensorFlow's sake.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.options: Mapping[str, Any] = kwargs


class NcclAllReduce(CrossDeviceOps):
    """See `CrossDeviceOps`."""

    def __init__(self, num_packs: int = 1) -> None:
        super().__init__(num_packs=num_packs)


class HierarchicalCopyAllReduce(CrossDeviceOps):
    """See `CrossDeviceOps`."""

    def __init__(self, num_packs: int = 1) -> None:
        super().__init__(num_packs=num_packs)


class ReductionToOneDevice(CrossDeviceOps):
    """See `CrossDeviceOps`."""

    def __init__(self, reduce_to_device: str | None = None, accumulation_fn: Any = None) -> None:
        super().__init__(reduce_to_device=reduce_to_device, accumulation_fn=accumulation_fn)


class MultiWorkerMirroredStrategy(MirroredStrategy):
    """`MirroredStrategy` over the processes of a job, on one host or several: the launcher says which there are.

    Args:
        cluster_resolver: accepted for TensorFlow's sake; `mpirun` or the launch script describes the job.
        communication_options: how replicas talk to each other.
        kwargs: see `MirroredStrategy`.
    """

    def __init__(
        self,
        cluster_resolver: ClusterResolver | None = None,
        communication_options: CommunicationOptions | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(communication_options, **kwargs)


class OneDeviceStrategy(DefaultStrategy):
    """This process alone.

    Args:
        device: such as `"/cpu:0"`.

    Raises:
        ConfigError: a device that is none.
    """

    def __init__(self, device: str) -> None:
        if not isinstance(device, str) or ":" not in device:
            raise ConfigError(f"OneDeviceStrategy expects a device such as '/cpu:0'. Received: {device!r}.")
        if "gpu" in device.lower():
            LOGGER.info("OneDeviceStrategy computes on the CPU. Received: device=%r.", device)
        super().__init__()
