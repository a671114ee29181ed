"""`distrib.keras.preprocessing.image`: images from files, and images changed at random."""

from distrib.base.missing import refuser
from distrib.data.images.conversion import array_to_img, img_to_array, load_img, save_img
from distrib.data.images.generator import ImageDataGenerator
from distrib.data.images.resizing import smart_resize

__all__ = ["ImageDataGenerator", "array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"]

__getattr__ = refuser(
    __name__,
    {
        **dict.fromkeys(
            [
                "random_brightness",
                "random_channel_shift",
                "random_rotation",
                "random_shear",
                "random_shift",
                "random_zoom",
            ],
            "use ImageDataGenerator(...).random_transform(x), with the range as an argument.",
        ),
        **dict.fromkeys(
            ["apply_affine_transform", "apply_brightness_shift", "apply_channel_shift"],
            "use ImageDataGenerator(...).apply_transform(x, {'theta': 10}).",
        ),
        **dict.fromkeys(
            ["DirectoryIterator", "Iterator", "NumpyArrayIterator"],
            "use ImageDataGenerator(...).flow and flow_from_directory, which return them.",
        ),
    },
    __all__,
)
