"""The text file `checkpoint`, as TensorFlow writes it: which checkpoints there are, for people and other programs.

What is there is decided by the folders themselves: a crash between a folder and this file leaves the file one behind.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from distrib.io.atomic_files import write_bytes

STATE_FILE = "checkpoint"


def write_state_file(
    parent: Path, folders: Sequence[Path], confirm: Callable[[], None] = lambda: None
) -> None:
    """Name the folders, oldest first, in `parent/checkpoint`.

    Args:
        parent: where they are.
        folders: their paths.
        confirm: see `write_checkpoint`.

    Raises:
        StorageError: it cannot be written.
    """
    paths = [json.dumps(folder.name) for folder in folders]
    lines = [f"model_checkpoint_path: {paths[-1]}"] if paths else []
    lines += [f"all_model_checkpoint_paths: {path}" for path in paths]
    write_bytes(parent / STATE_FILE, "".join(f"{line}\n" for line in lines).encode(), confirm)
