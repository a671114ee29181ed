"""Between files of images, images of Pillow and arrays: `load_img`, `img_to_array`, `array_to_img`, `save_img`."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, DataError, StorageError
from distrib.base.logs import LOGGER
from distrib.data.images.pillow import pillow

COLOR_MODES = {"grayscale": 1, "rgb": 3, "rgba": 4}
"""Number of channels by the name of Keras."""

_GRAY_MODES = ("L", "I;16", "I")
"""What Pillow calls images with one channel that stay as they are."""

_RESAMPLING = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


@checked
def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: Any = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """An image of Pillow from a file.

    Args:
        path: of the file, or a `BytesIO` with its content.
        color_mode: `"grayscale"`, `"rgb"` or `"rgba"`.
        target_size: `(height, width)` that it is resized to; None for the size of the file.
        interpolation: how: `"nearest"`, `"bilinear"`, `"bicubic"`, `"hamming"`, `"box"` or `"lanczos"`.
        keep_aspect_ratio: whether it is cut in the middle to the ratio of `target_size` before.

    Raises:
        ConfigError: an argument that there is not, or Pillow is not installed.
        DataError: the file is not there, is damaged, or is no image.
    """
    one_of(color_mode=(color_mode, COLOR_MODES))
    image = _opened(path, color_mode)
    if target_size is None:
        return image
    height, width = size_of("target_size", target_size)
    if image.size == (width, height):
        return image
    one_of(interpolation=(interpolation, _RESAMPLING))
    resampling = getattr(pillow().Resampling, interpolation.upper())
    if not keep_aspect_ratio:
        return image.resize((width, height), resampling)
    own_width, own_height = image.size
    cut_height = min(own_height, own_width * height // width)
    cut_width = min(own_width, own_height * width // height)
    left, top = (own_width - cut_width) // 2, (own_height - cut_height) // 2
    box = (left, top, left + cut_width, top + cut_height)
    return image.resize((width, height), resampling, box=box)


@checked
def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> Array:
    """An array of an image of Pillow, `(height, width, channels)`.

    Args:
        img: the image, or an array `(height, width)` or `(height, width, channels)`.
        data_format: `"channels_last"`, which is the default, or `"channels_first"`.
        dtype: of the array; float32 by default.

    Raises:
        DataError: it has other axes.
    """
    first = is_channels_first(data_format)
    array = np.asarray(img, dtype or "float32")
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.ndim != 3:
        raise DataError(
            f"img_to_array expects (height, width) or (height, width, channels). Received: {array.shape}."
        )
    return array.transpose(2, 0, 1) if first else array


@checked
def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """An image of Pillow from an array.

    Args:
        x: `(height, width, channels)` with 1, 3 or 4 channels.
        data_format: `"channels_last"`, which is the default, or `"channels_first"`.
        scale: whether the smallest value becomes 0, and the largest 255. Otherwise values are cut to whole numbers.
        dtype: in which this is computed; float32 by default.

    Raises:
        ConfigError: Pillow is not installed.
        DataError: the array has other axes.
    """
    first = is_channels_first(data_format)
    array = np.asarray(x, dtype or "float32")
    if array.ndim == 3 and first:
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] not in COLOR_MODES.values():
        raise DataError(
            "array_to_img expects one image with 1, 3 or 4 channels, (height, width, channels). "
            f"Received: {np.shape(x)}, data_format={data_format!r}."
        )
    if scale:
        array = array - np.min(array)
        largest = np.max(array)
        array = (array / largest if largest != 0 else array) * 255
    if array.shape[2] == 1:
        is_wide = np.max(array) > 255
        return pillow().fromarray(array[:, :, 0].astype("int32" if is_wide else "uint8"))
    return pillow().fromarray(array.astype("uint8"))


@checked
def save_img(
    path: Any,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an image to a file.

    Args:
        path: of the file, or a file that is open.
        x: `(height, width, channels)`; see `array_to_img`.
        data_format: likewise.
        file_format: such as `"png"`; by default the ending of the path says it.
        scale: see `array_to_img`.
        kwargs: passed to `PIL.Image.save`.

    Raises:
        ConfigError: the format is not known, or Pillow is not installed.
        DataError: see `array_to_img`.
        StorageError: the file cannot be written.
    """
    if file_format is None and isinstance(path, str | Path):
        file_format = Path(path).suffix[1:]
    file_format = (file_format or "").lower().replace("jpg", "jpeg")
    image = array_to_img(x, data_format, scale)
    if image.mode == "RGBA" and file_format == "jpeg":
        LOGGER.warning("JPEG files have no alpha channel: %s is written without.", path)
        image = image.convert("RGB")
    try:
        image.save(path, format=file_format or None, **kwargs)
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"save_img expects a format that Pillow writes, such as 'png'. Received: {file_format!r}: {error}."
        ) from None
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}") from None


def channels_of(path: str, color_mode: str) -> Array:
    """The values of a file, `(height, width, channels)`: uint8, or int32 of grayscale files with wider numbers."""
    image = _opened(path, color_mode)
    array = np.asarray(image)
    image.close()
    return array[..., np.newaxis] if array.ndim == 2 else array


def is_channels_first(data_format: str | None) -> bool:
    """Whether the channels are the first axis. Raises `ConfigError` for an unknown name."""
    one_of(data_format=(data_format or "channels_last", ("channels_last", "channels_first")))
    return data_format == "channels_first"


def size_of(name: str, given: Any) -> tuple[int, int]:
    """Height and width. Raises `ConfigError` for anything but a number or two.

    Args:
        name: of the argument, for the error message.
        given: as passed.
    """
    sizes = tuple(given) if isinstance(given, Sequence) and len(given) == 2 else (given, given)
    if not all(isinstance(each, int | np.integer) and each > 0 for each in sizes):
        raise ConfigError(f"Expected {name}=(height, width) of integers >= 1. Received: {name}={given!r}.")
    return int(sizes[0]), int(sizes[1])


def one_of(**given: Any) -> None:
    """Raise `ConfigError` for an argument, by its name, that is none of the known values: `(value, known)`."""
    for name, (value, known) in given.items():
        if value not in known:
            names = ", ".join(map(repr, known))
            raise ConfigError(f"Expected {name} to be one of {names}. Received: {name}={value!r}.")


def _opened(path: Any, color_mode: str) -> Any:
    """An image with the wanted channels, read to its end."""
    image_module = pillow()
    name = "The image" if isinstance(path, io.BytesIO) else _name_of(path)
    try:
        content = path if isinstance(path, io.BytesIO) else io.BytesIO(Path(name).read_bytes())
        image = image_module.open(content)
        image.load()
        if color_mode == "grayscale":
            return image if image.mode in _GRAY_MODES else image.convert("L")
        wanted = color_mode.upper()
        return image if image.mode == wanted else image.convert(wanted)
    except FileNotFoundError:
        raise DataError(f"{name} is not there.") from None
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise DataError(
            f"{name} cannot be read as an image: {type(error).__name__}: {error}. Repair it or remove it."
        ) from error


def _name_of(path: Any) -> str:
    if not isinstance(path, str | os.PathLike | bytes):
        raise ConfigError(
            f"load_img expects a path or a BytesIO. Received: {path!r} of type {type(path).__name__}."
        )
    return os.fsdecode(path)
