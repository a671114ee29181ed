"""`distrib.tf.data`: `Dataset`, where scripts for TensorFlow look for it."""

from distrib.base.missing import refuser
from distrib.data import (
    AUTOTUNE,
    INFINITE_CARDINALITY,
    UNKNOWN_CARDINALITY,
    Dataset,
    Options,
)
from distrib.tf.data import experimental

__all__ = [
    "AUTOTUNE",
    "INFINITE_CARDINALITY",
    "UNKNOWN_CARDINALITY",
    "Dataset",
    "Options",
    "experimental",
]

_FILES = "its files are not read. Convert them to .npy files once, or read them in from_generator."

__getattr__ = refuser(
    __name__,
    {
        "TFRecordDataset": _FILES,
        "TextLineDataset": "there are no tensors of text. Read the lines with Python, and encode them as numbers.",
        "FixedLengthRecordDataset": "read the file with np.fromfile or np.memmap, and use from_tensor_slices.",
        "Iterator": "iterate over the Dataset.",
        "ThreadingOptions": "options of speed have no effect.",
    },
    __all__,
)
