"""Reads crafted checkpoints, each within a second and 64 MB: crafted.py FOLDER... Says what each was refused with."""

import resource
import sys
import time
from pathlib import Path

import numpy as np  # noqa: F401

import distrib
from distrib.io.checkpoint_folder import read_checkpoint

MB = 1 << 20
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + 64 * MB
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for folder in sys.argv[1:]:
    begin = time.monotonic()
    try:
        read_checkpoint(Path(folder))
        print("READ", folder, flush=True)
    except distrib.StorageError as error:
        took = time.monotonic() - begin
        print("REFUSED" if took < 1 else f"LATE {took}", " ".join(str(error).split())[:300], flush=True)
