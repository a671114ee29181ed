"""Callbacks, one a file, with Keras' hooks."""

from distrib.training.callbacks.backup_and_restore import BackupAndRestore
from distrib.training.callbacks.callback import Callback
from distrib.training.callbacks.csv_logger import CSVLogger
from distrib.training.callbacks.early_stopping import EarlyStopping
from distrib.training.callbacks.history import History
from distrib.training.callbacks.lambda_callback import LambdaCallback
from distrib.training.callbacks.learning_rate_scheduler import LearningRateScheduler
from distrib.training.callbacks.model_checkpoint import ModelCheckpoint
from distrib.training.callbacks.progress_bar import ProgressBar
from distrib.training.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from distrib.training.callbacks.tensorboard import TensorBoard
from distrib.training.callbacks.terminate_on_nan import TerminateOnNaN

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgressBar",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]
