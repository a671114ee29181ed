"""`distrib.train`: checkpoints in a directory, with TensorFlow's names."""

from distrib.training.checkpoints import CheckpointManager, checkpoints_iterator, latest_checkpoint

__all__ = ["CheckpointManager", "checkpoints_iterator", "latest_checkpoint"]
