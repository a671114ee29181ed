"""`distrib.utils`: small helpers, with Keras' names."""

from distrib.base.missing import refuser
from distrib.data.images.conversion import array_to_img, img_to_array, load_img, save_img
from distrib.data.images.directory_dataset import image_dataset_from_directory
from distrib.data.labels import normalize, to_categorical
from distrib.data.py_dataset import PyDataset
from distrib.data.sequences import pad_sequences
from distrib.data.splitting import split_dataset
from distrib.data.timeseries import timeseries_dataset_from_array
from distrib.nn.custom_objects import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from distrib.training.model_config import clone_model
from distrib.training.seeds import clear_session, set_random_seed

Sequence = PyDataset
"""The older name of `PyDataset`."""

__all__ = [
    "CustomObjectScope",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "clear_session",
    "clone_model",
    "custom_object_scope",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "image_dataset_from_directory",
    "img_to_array",
    "load_img",
    "normalize",
    "pad_sequences",
    "register_keras_serializable",
    "save_img",
    "set_random_seed",
    "split_dataset",
    "timeseries_dataset_from_array",
    "to_categorical",
]

__getattr__ = refuser(
    __name__,
    {
        "plot_model": "pictures of models are not supported. model.summary(expand_nested=True) shows connections.",
        "text_dataset_from_directory": "there are no tensors of text. Encode the files as numbers, in a PyDataset or "
        "a map over data.Dataset.from_tensor_slices.",
        "audio_dataset_from_directory": "files of sound are not read. Read them in a PyDataset, or in a map over "
        "data.Dataset.from_tensor_slices(np.arange(len(paths))).",
        "get_file": "downloads of one's own are not supported. Use urllib.request.",
    },
    __all__,
)


def __dir__() -> list[str]:
    return __all__
