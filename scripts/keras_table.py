"""Write docs/keras.md: which of Keras' names there are, made from the code.

The names of Keras are in tests/nn/keras_names.json, as its public modules list them.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import distrib
from distrib.base.missing import MissingNameError

ROOT = Path(__file__).parent.parent

INTRODUCTION = """# Scripts for Keras and TensorFlow

Change the imports, and put the model into the scope of a strategy:

```python
import distrib.tf as tf
from distrib.tf.keras import Sequential, layers

strategy = tf.distribute.MirroredStrategy()  # one replica in each process: mpirun -n 4 python train.py
with strategy.scope():
    model = Sequential([layers.Input((784,)), layers.Dense(100, activation="relu"), layers.Dense(10)])
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
```

`distrib.keras` and `distrib.tf` hold distrib's own objects: `distrib.keras.layers.Dense` is `distrib.layers.Dense`.
Graphs of layers (`Model(inputs, outputs)`, shared layers, several inputs and outputs, models as layers) train as in
one process under every strategy. `tf.*` has the plain operations on arrays; what they return has `.numpy()`.

What scripts use and there is not yet: layers by subclass, gradients of functions of one's own (`GradientTape`),
pipelines of data (`tf.data`), convolution, recurrence, attention, batch normalization, Keras' file formats. Using
one is an error that says what to do instead.

Of Keras {version}, this is there, and this is not:
"""


def rows() -> Iterator[str]:
    """The lines of the table."""
    names: dict[str, Any] = json.loads((ROOT / "tests" / "nn" / "keras_names.json").read_text())
    yield "| module or class | works | not there |"
    yield "| --- | --- | --- |"
    for module, listed in names.items():
        if module == "keras":
            continue
        owner = owner_of(module)
        there = [name for name in listed if owner is not None and has(owner, name)]
        missing = [name for name in listed if name not in there]
        yield f"| `{module}` | {shown(there)} | {shown(missing)} |"


def owner_of(module: str) -> Any:
    """The module or class of that name; None if there is none."""
    if module in ("Model", "Layer"):
        return getattr(distrib.keras, module)
    try:
        return importlib.import_module(f"distrib.keras.{module}")
    except ModuleNotFoundError:
        return None


def has(owner: Any, name: str) -> bool:
    """Whether it is there."""
    if isinstance(owner, ModuleType) and name not in owner.__all__:
        return False
    try:
        return hasattr(owner, name)
    except MissingNameError:
        return False


def shown(names: list[str]) -> str:
    """Names, for a cell."""
    return ", ".join(f"`{name}`" for name in names)


def page() -> str:
    """The page."""
    version = json.loads((ROOT / "tests" / "nn" / "keras_names.json").read_text())["keras"]
    return INTRODUCTION.replace("{version}", version) + "\n" + "\n".join(rows()) + "\n"


if __name__ == "__main__":
    (ROOT / "docs" / "keras.md").write_text(page())
