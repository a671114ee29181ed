"""Options of a data set, as `tf.data.Options`."""

from __future__ import annotations

import enum


class AutoShardPolicy(enum.IntEnum):
    """How `experimental_distribute_dataset` divides a data set among replicas; see there."""

    OFF = -1
    AUTO = 0
    FILE = 1
    DATA = 2
    HINT = 3


class _Distribute:
    """Options of distribution.

    Attributes:
        auto_shard_policy: see `AutoShardPolicy`.
        num_devices: without effect.
    """

    def __init__(self) -> None:
        self.auto_shard_policy = AutoShardPolicy.AUTO
        self.num_devices: int | None = None


class Options:
    """Options of a data set. Those of speed (`autotune`, `threading`, ...) have no effect.

    Attributes:
        experimental_distribute: of distribution.
        deterministic: without effect: the order is always that of the pipeline.
    """

    def __init__(self) -> None:
        self.experimental_distribute = _Distribute()
        self.deterministic: bool | None = None
        self.autotune = self.experimental_optimization = self.threading = _Ignored()


class InputOptions:
    """Options of `experimental_distribute_dataset`, as `tf.distribute.InputOptions`. None has an effect here.

    Args:
        options: their names and values.
    """

    def __init__(self, **options: object) -> None:
        vars(self).update(options)


class _Ignored:
    """Takes any option."""

    def __setattr__(self, name: str, value: object) -> None:
        pass

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return None
