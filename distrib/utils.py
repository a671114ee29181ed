"""`distrib.utils`: small helpers, with Keras' names."""

from distrib.base.missing import refuser
from distrib.data.images.conversion import array_to_img, img_to_array, load_img, save_img
from distrib.data.images.directory_dataset import image_dataset_from_directory
from distrib.data.labels import normalize, to_categorical
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

__all__ = [
    "CustomObjectScope",
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
    "register_keras_serializable",
    "save_img",
    "set_random_seed",
    "to_categorical",
]

__getattr__ = refuser(
    __name__,
    {
        "plot_model": "pictures of models are not supported. model.summary(expand_nested=True) shows connections.",
        "Sequence": "generators of batches are not supported yet. Pass arrays, or np.load(..., mmap_mode='r').",
        "PyDataset": "generators of batches are not supported yet. Pass arrays, or np.load(..., mmap_mode='r').",
        "get_file": "downloads of one's own are not supported. Use urllib.request.",
    },
    __all__,
)


def __dir__() -> list[str]:
    return __all__
