"""The import of Pillow, which reads and writes files of images. The extra `images` installs it."""

from __future__ import annotations

from types import ModuleType

from distrib.base.errors import ConfigError


def pillow() -> ModuleType:
    """`PIL.Image`. Raises `ConfigError` if it is not installed."""
    try:
        from PIL import Image
    except ImportError:
        raise ConfigError(
            "Files of images are read and written with Pillow, which is not installed. Run: pip install "
            "'distrib[images]'"
        ) from None
    return Image
