"""`distrib.callbacks`: the callbacks, as Keras has them."""

from distrib.training.callbacks import BackupAndRestore, Callback, History, ModelCheckpoint, ProgressBar

__all__ = ["BackupAndRestore", "Callback", "History", "ModelCheckpoint", "ProgressBar"]
