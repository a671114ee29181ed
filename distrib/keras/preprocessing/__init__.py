"""`distrib.keras.preprocessing`: preparing data, with the older names of `keras.utils`."""

from distrib.base.missing import refuser
from distrib.data.images.directory_dataset import image_dataset_from_directory
from distrib.data.timeseries import timeseries_dataset_from_array
from distrib.keras.preprocessing import image, sequence

__all__ = ["image", "image_dataset_from_directory", "sequence", "timeseries_dataset_from_array"]

__getattr__ = refuser(
    __name__,
    {
        "text": "there are no tensors of text. Encode texts as numbers before.",
        "text_dataset_from_directory": "there are no tensors of text. Encode the files as numbers before.",
        "audio_dataset_from_directory": "files of sound are not read. Read them in a keras.utils.PyDataset.",
    },
    __all__,
)
