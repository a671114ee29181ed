"""Callbacks, one a file, with Keras' hooks."""

from distrib.training.callbacks.backup_and_restore import BackupAndRestore
from distrib.training.callbacks.base import Callback
from distrib.training.callbacks.history import History
from distrib.training.callbacks.model_checkpoint import ModelCheckpoint
from distrib.training.callbacks.progress_bar import ProgressBar

__all__ = ["BackupAndRestore", "Callback", "History", "ModelCheckpoint", "ProgressBar"]
