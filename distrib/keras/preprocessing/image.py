"""`distrib.keras.preprocessing.image`: images from files, and images changed at random."""

from distrib.base.missing import refuser
from distrib.data.images.conversion import array_to_img, img_to_array, load_img, save_img
from distrib.data.images.resizing import smart_resize

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"]

__getattr__ = refuser(__name__, {}, __all__)
