"""What lies in a directory of checkpoints: `distrib checkpoint ls|show|verify DIR`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from distrib.base.errors import StorageError
from distrib.io.checkpoint_folder import MANIFEST, read_checkpoint, read_manifest

_WIDTH_OF_FILES = 160

ACTIONS = {
    "ls": "list the checkpoints in DIR, without looking into their files",
    "show": "show what the checkpoint DIR holds; of several in DIR, the newest whole one",
    "verify": "read every checkpoint in DIR, and compare the hashes",
}


def inspect(action: str, directory: Path) -> None:
    """Print what there is.

    Args:
        action: one of `ACTIONS`.
        directory: of checkpoints, or one of them.

    Raises:
        StorageError: there is none, or one is damaged; all have been printed then.
    """
    folders = _folders(directory)
    if not folders:
        raise StorageError(f"There is no checkpoint in {directory}.")
    if action == "show":
        _show(folders)
    else:
        _list(folders, looks_into=action == "verify")


def _folders(directory: Path) -> list[Path]:
    """The folder itself, or the checkpoints in it, by name and number."""
    if (directory / MANIFEST).is_file():
        return [directory]
    try:
        found = [path for path in directory.iterdir() if (path / MANIFEST).is_file() and path.name[0] != "."]
    except OSError as error:
        raise StorageError(f"{directory} cannot be read: {error}") from None
    return sorted(
        found, key=lambda path: [int(n) if n.isdigit() else n for n in re.split(r"(\d+)", path.name)]
    )


def _list(folders: list[Path], looks_into: bool) -> None:
    table = Table("checkpoint", "step", "epoch", "bytes", "final", "state")
    damaged = []
    for folder in folders:
        try:
            manifest = read_manifest(folder)
            size = sum(manifest["bytes"].values())
            if looks_into:
                read_checkpoint(folder)
        except StorageError as error:
            damaged.append(str(error))
            table.add_row(folder.name, "", "", "", "", "damaged")
            continue
        step, epoch, is_final = _where(manifest)
        table.add_row(folder.name, step, epoch, str(size), is_final, "whole" if looks_into else "not read")
    _print(table)
    if damaged:
        raise StorageError("\n".join(damaged))


def _show(folders: list[Path]) -> None:
    damaged = []
    for folder in reversed(folders):
        try:
            files, manifest = read_checkpoint(folder)
        except StorageError as error:
            damaged.append(str(error))
            continue
        step, epoch, is_final = _where(manifest)
        compiled = manifest.get("compile") or {}
        print(
            f"{folder}: step {step or 'unknown'}, epoch {epoch or 'unknown'}, final: {is_final or 'unknown'}"
        )
        for title in ("optimizer", "loss"):
            if title in compiled:
                print(f"{title}: {json.dumps(compiled[title])}")
        table = Table("file", "array", "shape", "dtype", "norm")
        for file, arrays in files.items():
            for name, array in sorted(arrays.items()):
                norm = f"{float((array.astype('float64') ** 2).sum()) ** 0.5:.6g}"
                table.add_row(file, name, str(array.shape), array.dtype.name, norm)
        _print(table)
        break
    if damaged:
        raise StorageError("\n".join(damaged))


def _where(manifest: dict[str, Any]) -> tuple[str, str, str]:
    """Step, epoch, and whether it is the final one; empty where it does not say so."""
    step = manifest.get("step", manifest.get("sequencer", {}).get("version", ""))
    progress = manifest.get("progress") or {}
    epoch = str(progress.get("epoch", "")) + (
        f" + {progress['step']} batches" if progress.get("step") else ""
    )
    return str(step), epoch, {True: "yes", False: "no"}.get(manifest.get("final", ""), "")


def _print(table: Table) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES
    console.print(table)
