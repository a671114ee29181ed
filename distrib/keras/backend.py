"""`distrib.keras.backend`: the settings that scripts ask for."""

from __future__ import annotations

from typing import Any

from distrib.base.arguments import checked
from distrib.base.errors import ConfigError
from distrib.nn.losses.loss import EPSILON
from distrib.training.seeds import clear_session

__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "get_value",
    "image_data_format",
    "set_floatx",
    "set_image_data_format",
    "set_value",
]


def backend() -> str:
    """What computes: `"numpy"`."""
    return "numpy"


def epsilon() -> float:
    """The bound to which losses clip probabilities."""
    return EPSILON


def get_value(x: Any) -> Any:
    """The value of a variable, or of a number of an optimizer, as NumPy has it: `x.numpy()`."""
    return x.numpy()


def set_value(x: Any, value: Any) -> None:
    """Assign to a variable, or to a number of an optimizer: `x.assign(value)`."""
    x.assign(value)


def floatx() -> str:
    """The default dtype of models: `"float32"`."""
    return "float32"


@checked
def set_floatx(value: str) -> None:
    """Accept `"float32"`. Raises `ConfigError` for another dtype, which is an argument of models."""
    if value != "float32":
        raise ConfigError(
            f"set_floatx supports float32. Received: {value!r}. Pass dtype={value!r} to each model."
        )


def image_data_format() -> str:
    """The order of the axes of images: `"channels_last"`."""
    return "channels_last"


@checked
def set_image_data_format(data_format: str) -> None:
    """Accept `"channels_last"`. Raises `ConfigError` for another order."""
    if data_format != "channels_last":
        raise ConfigError(f"set_image_data_format supports channels_last. Received: {data_format!r}.")
