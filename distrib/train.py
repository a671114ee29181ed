"""`distrib.train`: checkpoints in a directory, and `ClusterSpec`, with TensorFlow's names."""

from distrib.cluster.spec import ClusterSpec
from distrib.training.checkpoints.checkpoint import Checkpoint
from distrib.training.checkpoints.manager import CheckpointManager, checkpoints_iterator, latest_checkpoint

__all__ = ["Checkpoint", "CheckpointManager", "ClusterSpec", "checkpoints_iterator", "latest_checkpoint"]


def __dir__() -> list[str]:
    return __all__
